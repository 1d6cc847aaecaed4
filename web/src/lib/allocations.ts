import type { Attribute } from './api/types';
import { ALLOCATIONS } from './runtime';

/** What was allocated and freed in a span: how often, how many bytes. */
export interface Allocated {
  allocations: number;
  bytes: number;
  deallocations: number;
  freed: number;
  net: number;
}

export interface Allocations {
  own: Allocated;
  /** With everything within the span. */
  total: Allocated;
  /** The other attributes: what is told of allocations is not told again among them. */
  rest: Attribute[];
}

const KEYS = new Set<string>(ALLOCATIONS);

/** Whether an attribute is one of those that tell of allocations; one of another type is somebody else's. */
function isOurs({ key, type }: Attribute): boolean {
  return type === 'int' && KEYS.has(key);
}

/** What the attributes of a span say of allocations; null where they say nothing. */
export function allocationsOf(attributes: readonly Attribute[]): Allocations | null {
  const ours = attributes.filter(isOurs);
  const values = new Map(ours.map(({ key, value }) => [key, Number(value)]));
  const read = (within: string): Allocated => {
    const number = (key: string) => values.get(key) ?? 0;
    return {
      allocations: number(`alloc.${within}count`),
      bytes: number(`alloc.${within}bytes`),
      deallocations: number(`dealloc.${within}count`),
      freed: number(`dealloc.${within}bytes`),
      net: number(`alloc.${within}net_bytes`),
    };
  };
  const isKnown = values.has('alloc.bytes') || values.has('alloc.total.bytes');
  if (!isKnown) return null;
  const rest = attributes.filter((attribute) => !isOurs(attribute));
  return { own: read(''), total: read('total.'), rest };
}
