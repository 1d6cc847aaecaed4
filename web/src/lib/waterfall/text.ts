const ELLIPSIS = '…';
const cut = new Map<string, string>();

/** The longest start of `text` that fits. Remembered, because measuring is what a frame would spend its time on. */
export function ellipsize(context: CanvasRenderingContext2D, text: string, room: number): string {
  const width = Math.max(0, Math.floor(room));
  if (text.length * 3 < width && context.measureText(text).width <= width) return text;
  const key = `${width}\n${text}`;
  const known = cut.get(key);
  if (known !== undefined) return known;
  if (cut.size > 5000) cut.clear();
  let result = text.length > 400 ? text.slice(0, 400) : text;
  if (context.measureText(result).width > width) {
    let low = 0;
    let high = result.length;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (context.measureText(result.slice(0, middle) + ELLIPSIS).width <= width) low = middle;
      else high = middle - 1;
    }
    result = low > 0 ? result.slice(0, low) + ELLIPSIS : '';
  }
  cut.set(key, result);
  return result;
}
