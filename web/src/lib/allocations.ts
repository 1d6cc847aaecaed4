import type { Attribute } from './api/types';

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
}

/** What the attributes of a span say of allocations; null where they say nothing. */
export function allocationsOf(attributes: readonly Attribute[]): Allocations | null {
  const values = new Map(attributes.map(({ key, value }) => [key, Number(value)]));
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
  return isKnown ? { own: read(''), total: read('total.') } : null;
}
