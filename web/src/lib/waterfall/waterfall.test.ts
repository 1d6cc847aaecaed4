import { describe, expect, test } from 'vitest';

import type { Span, SpanState, Trace } from '../api/types';
import {
  buildTree,
  collapsedBelow,
  countOf,
  displayIndex,
  findRows,
  hasSameRows,
  heardOf,
  reveal,
  selfTime,
  spanAt,
  stateText,
  visibleRows,
} from './tree';
import { firstView, lateSpans, rootDuration } from './late';
import { clampView, fullView, isFull, pan, ticks, viewFromText, viewToText, zoom } from './view';

const EPOCH = 1_795_166_107_348_123_456n;

interface Brief {
  id: string;
  parent?: string;
  at?: number;
  for?: number;
  error?: boolean;
  state?: SpanState;
  name?: string;
}

function trace(spans: Brief[]): Trace {
  return {
    trace_id: 'a'.repeat(32),
    resources: [{ service: 'shop', attributes: [], dropped_attributes_count: 0 }],
    scopes: [{ name: '', version: '', attributes: [] }],
    spans: spans.map((brief): Span => ({
      span_id: brief.id,
      parent_span_id: brief.parent ?? '',
      name: brief.name ?? brief.id,
      kind: 'internal',
      start_unix_nano: (EPOCH + BigInt(brief.at ?? 0)).toString(),
      duration_nano: brief.for ?? 10,
      state: brief.state ?? 'ended',
      status: { code: brief.error ? 'error' : 'unset', message: '' },
      resource: 0,
      scope: 0,
      attributes: [{ key: 'user.id', type: 'string', value: `user-${brief.id}` }],
      dropped_attributes_count: 0,
      events: [],
      dropped_events_count: 0,
      links: [],
      dropped_links_count: 0,
      trace_state: '',
      flags: 0,
    })),
    spans_left_out: 0,
  };
}

function shape(spans: Brief[]): string {
  const tree = buildTree(trace(spans));
  return Array.from(
    { length: tree.count },
    (_, row) => '-'.repeat(tree.depth[row]!) + spanAt(tree, row).span_id,
  ).join(' ');
}

describe('the order of rows', () => {
  test('children follow their parent by start, wherever they came in the list', () => {
    const spans = [
      { id: 'c', parent: 'r', at: 20 },
      { id: 'b', parent: 'r', at: 10 },
      { id: 'r' },
      { id: 'd', parent: 'b', at: 12 },
    ];
    expect(shape(spans)).toBe('r -b --d -c');
  });

  test('a span whose parent is missing is a root and says so', () => {
    const tree = buildTree(trace([{ id: 'r' }, { id: 'x', parent: 'gone', at: 5 }]));
    expect([...tree.depth]).toEqual([0, 0]);
    expect([...tree.orphan]).toEqual([0, 1]);
  });

  test('circles of ancestors end, with every span in its place', () => {
    expect(
      shape([
        { id: 'a', parent: 'b' },
        { id: 'b', parent: 'a', at: 1 },
      ]),
    ).toBe('a -b');
    expect(shape([{ id: 'a', parent: 'a' }])).toBe('a');
    expect(
      shape([
        { id: 'a', parent: 'c' },
        { id: 'b', parent: 'a', at: 1 },
        { id: 'c', parent: 'b', at: 2 },
        { id: 'd', parent: 'c', at: 3 },
      ]),
    ).toBe('a -b --c ---d');
  });

  test('of two spans with one id the first is the parent', () => {
    expect(shape([{ id: 'r' }, { id: 'r', at: 1 }, { id: 'k', parent: 'r', at: 2 }])).toBe('r -k r');
  });

  test('a chain of a hundred thousand spans does not overflow the stack', () => {
    const spans = Array.from({ length: 100_000 }, (_, index) => ({
      id: String(index),
      ...(index > 0 ? { parent: String(index - 1) } : {}),
      at: index,
    }));
    const tree = buildTree(trace(spans));
    expect(tree.maxDepth).toBe(99_999);
    expect(tree.size[0]).toBe(100_000);
  });

  test('an empty trace is empty', () => {
    expect(buildTree(trace([])).count).toBe(0);
  });
});

describe('spans that have not ended', () => {
  const open: Brief[] = [
    { id: 'r', for: 100, state: 'in_progress' },
    { id: 'k', parent: 'r', at: 5, for: 20 },
    { id: 'x', parent: 'r', at: 6, for: 7, state: 'lost' },
  ];

  test('they are known in the tree, said in words, counted and found', () => {
    const tree = buildTree(trace(open));
    expect([...tree.open]).toEqual([1, 0, 1]);
    expect([0, 1, 2].map((row) => stateText(spanAt(tree, row)))).toEqual(['in progress', '', 'lost']);
    expect([countOf(tree, 'in_progress'), countOf(tree, 'lost'), countOf(tree, 'ended')]).toEqual([1, 1, 1]);
    expect([...findRows(tree, 'in progress')]).toEqual([0]);
    expect([...findRows(tree, 'lost')]).toEqual([2]);
  });

  test('they were last heard of where they end so far', () => {
    expect(heardOf(spanAt(buildTree(trace(open)), 2))).toBe((EPOCH + 13n).toString());
  });

  test('rows are the same while spans only go on, and not when one is added', () => {
    const tree = buildTree(trace(open));
    const later = open.map((brief) => (brief.id === 'r' ? { ...brief, for: 200 } : brief));
    expect(hasSameRows(tree, buildTree(trace(later)))).toBe(true);
    expect(hasSameRows(tree, buildTree(trace([...open, { id: 'n', parent: 'r', at: 9 }])))).toBe(false);
    const moved = open.map((brief) => (brief.id === 'x' ? { ...brief, parent: 'k' } : brief));
    expect(hasSameRows(tree, buildTree(trace(moved)))).toBe(false);
  });
});

describe('times', () => {
  test('the trace reaches from the first start to the last end', () => {
    const tree = buildTree(
      trace([
        { id: 'r', at: 100, for: 50 },
        { id: 'early', parent: 'r', at: 90 },
        { id: 'late', parent: 'r', at: 140, for: 100 },
      ]),
    );
    expect(tree.startUnixNano).toBe(EPOCH + 90n);
    expect(tree.duration).toBe(150);
  });

  test('self time leaves out the union of the children, not their sum', () => {
    const tree = buildTree(
      trace([
        { id: 'r', for: 100 },
        { id: 'a', parent: 'r', at: 10, for: 40 },
        { id: 'b', parent: 'r', at: 30, for: 40 },
        { id: 'outside', parent: 'r', at: 90, for: 500 },
      ]),
    );
    expect(selfTime(tree, 0)).toBe(100 - 60 - 10);
  });

  test('a negative duration counts as zero', () => {
    const tree = buildTree(trace([{ id: 'r', for: -5 }]));
    expect(tree.duration).toBe(0);
  });
});

describe('folding', () => {
  const tree = buildTree(
    trace([
      { id: 'r' },
      { id: 'a', parent: 'r', at: 1 },
      { id: 'b', parent: 'a', at: 2, error: true },
      { id: 'c', parent: 'r', at: 3 },
    ]),
  );
  const ids = (rows: Int32Array) => [...rows].map((row) => spanAt(tree, row).span_id).join('');

  test('a folded row hides its subtree', () => {
    expect(ids(visibleRows(tree, new Set()))).toBe('rabc');
    expect(ids(visibleRows(tree, new Set([1])))).toBe('rac');
    expect(ids(visibleRows(tree, new Set([0, 1])))).toBe('r');
    expect(ids(visibleRows(tree, collapsedBelow(tree, 1)))).toBe('rac');
  });

  test('a hidden row is stood for by its folded ancestor, until it is revealed', () => {
    const folded = new Set([1]);
    expect(displayIndex(visibleRows(tree, folded), 2)).toBe(1);
    expect(reveal(tree, folded, 2)).toEqual(new Set());
    expect(reveal(tree, folded, 3)).toBe(folded);
  });

  test('what failed below is counted', () => {
    expect([...tree.errorsBelow]).toEqual([1, 1, 0, 0]);
    expect(tree.errors).toBe(1);
  });

  test('search looks at names, attributes and status', () => {
    expect([...findRows(tree, 'USER-b')]).toEqual([2]);
    expect([...findRows(tree, 'user.id')]).toEqual([0, 1, 2, 3]);
    expect([...findRows(tree, 'error')]).toEqual([2]);
    expect([...findRows(tree, '  ')]).toEqual([]);
  });
});

describe('the view', () => {
  test('zooming keeps the time under the pointer', () => {
    const view = zoom(fullView(1000), 0.5, 0.25, 1000);
    expect(view).toEqual({ from: 125, to: 625 });
  });

  test('it never leaves the trace and never becomes empty', () => {
    expect(pan({ from: 0, to: 100 }, -50, 1000)).toEqual({ from: 0, to: 100 });
    expect(pan({ from: 900, to: 1000 }, 50, 1000)).toEqual({ from: 900, to: 1000 });
    const tiny = clampView({ from: 500, to: 500 }, 1000);
    expect(tiny.to - tiny.from).toBe(10);
    expect(isFull(zoom(fullView(1000), 9, 0.5, 1000), 1000)).toBe(true);
    expect(clampView({ from: 0, to: 0 }, 0)).toEqual({ from: 0, to: 1 });
  });

  test('it survives the address, and a broken one shows everything', () => {
    expect(viewToText({ from: 10.4, to: 99.6 }, 1000)).toBe('10-100');
    expect(viewFromText('10-100', 1000)).toEqual({ from: 10, to: 100 });
    expect(viewToText(fullView(1000), 1000)).toBe('');
    // Of one that opens with a part of it, the whole has a word.
    const first = { from: 0, to: 100 };
    expect(viewToText({ from: 0, to: 100.3 }, 1000, first)).toBe('');
    expect(viewToText(fullView(1000), 1000, first)).toBe('all');
    expect(viewFromText('all', 1000, first)).toEqual(fullView(1000));
    expect(viewFromText(null, 1000, first)).toEqual(first);
    for (const text of [null, '', 'x', '9-1', '-5-10'])
      expect(viewFromText(text, 1000)).toEqual(fullView(1000));
  });

  test('grid lines are round and inside', () => {
    expect(ticks({ from: 0, to: 1000 }, 5)).toEqual([0, 200, 400, 600, 800, 1000]);
    expect(ticks({ from: 130, to: 170 }, 4)).toEqual([130, 140, 150, 160, 170]);
    expect(ticks({ from: 5, to: 5 }, 4)).toEqual([]);
  });
});

describe('late spans', () => {
  const root = { id: 'a', for: 500 };
  const inner = { id: 'b', parent: 'a', at: 100, for: 300 };

  test('are left out of sight at first where they stretch a trace', () => {
    const tree = buildTree(trace([root, inner, { id: 'c', parent: 'a', at: 4460, for: 3 }]));
    expect([rootDuration(tree), tree.duration]).toEqual([500, 4463]);
    expect(lateSpans(tree)).toEqual({ count: 1, from: 500, to: 4463 });
    expect(firstView(tree, lateSpans(tree))).toEqual({ from: 0, to: 520 });
    expect(firstView(tree, null)).toEqual(fullView(4463));
  });

  test.each<[string, Brief[]]>([
    ['there are none', [root, inner]],
    ['what began within the root goes on', [root, { id: 'c', parent: 'a', at: 400, for: 4000 }]],
    [
      'what follows the root follows at once',
      [root, { ...inner, at: 450, for: 900 }, { id: 'c', at: 1200, for: 900 }],
    ],
    ['what comes later is most of the trace', [root, { id: 'c', parent: 'a', at: 900, for: 4000 }]],
    ['it is not much later', [root, { id: 'c', parent: 'a', at: 700, for: 3 }]],
    [
      'the root has not ended',
      [
        { ...root, state: 'in_progress' },
        { id: 'c', parent: 'a', at: 4460, for: 3 },
      ],
    ],
    [
      'the root is not here',
      [
        { ...root, parent: 'z' },
        { id: 'c', parent: 'a', at: 4460, for: 3 },
      ],
    ],
  ])('are none where %s', (_, spans) => {
    expect(lateSpans(buildTree(trace(spans)))).toBeNull();
  });
});
