import type { MetricSeries } from './api/types';
import { lineColor, lineDash, serviceLineColor, serviceLineDash, type Shade } from './palette.svelte';

/** How a line of a chart is drawn, and the mark beside its name. */
export interface LineLook {
  color: string;
  /** Lengths of what is drawn and what is not; empty for a solid line. */
  dash: readonly number[];
}

/** As `by` of the API takes it; what stands on points is no service's name. */
const SERVICE = /^(resource\.)?service\.name$/;

/** The service that a line is of: the one it is drawn for, or else the one that all of the chart is of; empty for none. */
function serviceOfLine({ labels }: Pick<MetricSeries, 'labels'>, service: string): string {
  const label = labels.find(({ key }) => SERVICE.test(key));
  return label === undefined ? service : String(label.value);
}

/**
 * How the lines of a chart look, in their order; `service` is the one that all of them are of, or empty.
 *
 * A line of a service has the colour that the service has on every page. Several of one service (its workers, channels,
 * directions) are tones of that colour, then dashed: colours of the palette would be those of other services, so that
 * worker 1 would look like another program. What is of no one service has the colours of the palette in their order,
 * for there is no better one.
 */
export function lineLooks(
  series: readonly Pick<MetricSeries, 'labels'>[],
  service: string,
  shade: Shade,
): LineLook[] {
  const places = new Map<string, number>();
  return series.map((one) => {
    const name = serviceOfLine(one, service);
    const place = places.get(name) ?? 0;
    places.set(name, place + 1);
    return name === ''
      ? { color: lineColor(place, shade), dash: lineDash(place) }
      : { color: serviceLineColor(name, place, shade), dash: serviceLineDash(place, shade) };
  });
}
