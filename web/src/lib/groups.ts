import type { TraceSummary } from './api/types';

/** Traces with the same root span: what a long list is made of. */
export interface RootGroup {
  service: string;
  name: string;
  traces: number;
  failed: number;
}

/** The most frequent first; traces whose root has not arrived belong to none. */
export function rootGroups(traces: readonly TraceSummary[]): RootGroup[] {
  const groups = new Map<string, RootGroup>();
  for (const { root_service: service, root_name: name, error_count: errors } of traces) {
    if (name === '') continue;
    const key = `${service}\n${name}`;
    const group = groups.get(key) ?? { service, name, traces: 0, failed: 0 };
    group.traces += 1;
    if (errors > 0) group.failed += 1;
    groups.set(key, group);
  }
  return [...groups.values()].sort((a, b) => b.traces - a.traces || a.name.localeCompare(b.name));
}
