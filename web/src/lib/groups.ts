import type { TraceSummary } from './api/types';
import { keyOf } from './values';

/** Traces with the same root span: what a long list is made of. */
export interface RootGroup {
  service: string;
  name: string;
  traces: number;
  failed: number;
}

/** How a trace is called: by its root, or, as long as that is open or if it is lost, by the earliest span there is. */
export function titleOf(trace: TraceSummary): { service: string; name: string; rooted: boolean } {
  const rooted = trace.root_name !== '' || trace.root_service !== '';
  return rooted
    ? { service: trace.root_service, name: trace.root_name, rooted }
    : { service: trace.first_service, name: trace.first_name, rooted };
}

/** The most frequent first; traces whose root has not arrived belong to none. */
export function rootGroups(traces: readonly TraceSummary[]): RootGroup[] {
  const groups = new Map<string, RootGroup>();
  for (const { root_service: service, root_name: name, error_count: errors } of traces) {
    if (name === '') continue;
    const key = keyOf(service, name);
    const group = groups.get(key) ?? { service, name, traces: 0, failed: 0 };
    group.traces += 1;
    if (errors > 0) group.failed += 1;
    groups.set(key, group);
  }
  return [...groups.values()].sort((a, b) => b.traces - a.traces || a.name.localeCompare(b.name));
}
