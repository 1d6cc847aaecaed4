import { beforeEach, describe, expect, test } from 'vitest';

import { ApiError } from './api/client';
import { Feed, type FeedPage } from './feed.svelte';

interface Row {
  id: string;
  at: string;
}

const SECOND = 1_000_000_000n;
const row = (id: number): Row => ({ id: String(id), at: (BigInt(id) * SECOND).toString() });

/** A backend that has the rows `1..newest`, one a second, and answers pages of four. */
function backend(newest: () => number) {
  const asked: (string | null)[] = [];
  const page = (since: string | null, before = Infinity): FeedPage<Row> => {
    const first = since === null ? 1 : Number(BigInt(since) / SECOND);
    const ids = [];
    for (let id = Math.min(newest(), before - 1); id >= Math.max(1, first) && ids.length < 4; id -= 1)
      ids.push(id);
    const last = ids.at(-1) ?? 1;
    return { rows: ids.map(row), next: last > 1 ? String(last) : null, stats: undefined };
  };
  return {
    asked,
    fetch: (since: string | null) => {
      asked.push(since);
      return Promise.resolve(page(since));
    },
    more: (cursor: string) => Promise.resolve(page(null, Number(cursor))),
  };
}

const fail = (status: number) => () =>
  Promise.reject(new ApiError(status, { code: 'x', message: `${status}` }));

const ids = (feed: Feed<Row>) => feed.rows.map(({ id }) => id).join(' ');

describe('a feed', () => {
  let newest = 10;
  let feed: Feed<Row>;
  let source: ReturnType<typeof backend>;

  beforeEach(async () => {
    newest = 10;
    feed = new Feed<Row>(
      ({ id }) => id,
      ({ at }) => at,
    );
    source = backend(() => newest);
    await feed.load(() => source.fetch(null));
  });

  test('takes what is new and keeps what "load more" brought', async () => {
    await feed.more(source.more);
    expect(ids(feed)).toBe('10 9 8 7 6 5 4 3');
    newest = 12;
    await feed.refresh(source.fetch, false);
    expect(ids(feed)).toBe('12 11 10 9 8 7 6 5 4 3');
    expect(feed.next).toBe('3');
  });

  test('starts again when it fell behind by more than a page', async () => {
    newest = 40;
    await feed.refresh(source.fetch, false);
    expect(ids(feed)).toBe('40 39 38 37');
    expect(feed.next).toBe('37');
  });

  test('holds back what is new until it is asked for', async () => {
    newest = 12;
    await feed.refresh(source.fetch, true);
    expect(ids(feed)).toBe('10 9 8 7');
    expect(feed.waiting).toBe(2);
    feed.release();
    expect(ids(feed)).toBe('12 11 10 9 8 7');
    expect(feed.waiting).toBe(0);
  });

  test('counts all that comes while it is held, however much', async () => {
    for (const [arrived, waiting, more] of [
      [12, 2, false],
      [13, 3, false],
      // More at once than a page has: so many are not known.
      [40, 7, true],
      [42, 9, true],
    ] as const) {
      newest = arrived;
      await feed.refresh(source.fetch, true);
      expect([feed.waiting, feed.waitingMore]).toEqual([waiting, more]);
    }
    expect(ids(feed)).toBe('10 9 8 7');
    await feed.refresh(source.fetch, false);
    expect(ids(feed)).toBe('42 41 40 39 38 37');
    expect([feed.waiting, feed.waitingMore]).toEqual([0, false]);
  });

  test('what "load more" brings while it is held is there afterwards', async () => {
    newest = 12;
    await feed.refresh(source.fetch, true);
    await feed.more(source.more);
    feed.release();
    expect(ids(feed)).toBe('12 11 10 9 8 7 6 5 4 3');
    expect(feed.next).toBe('3');
  });

  test('looks back half a minute most of the time, and at everything now and then', async () => {
    newest = 100;
    await feed.load(() => source.fetch(null));
    source.asked.length = 0;
    for (let round = 0; round < 5; round += 1) await feed.refresh(source.fetch, false);
    expect(source.asked.filter((since) => since === null)).toHaveLength(1);
    expect(source.asked[0]).toBe((70n * SECOND).toString());
  });

  test('a record dated in the future does not hide those of the present', async () => {
    const future = Math.floor(Date.now() / 1000) + 86_400;
    newest = future;
    await feed.load(() => source.fetch(null));
    source.asked.length = 0;
    await feed.refresh(source.fetch, false);
    const since = BigInt(source.asked[0] ?? '0') / SECOND;
    expect(Number(since)).toBeLessThanOrEqual(Date.now() / 1000 - 29);
  });

  test('an outage keeps the rows, a refused query empties the list, a busy backend is asked again', async () => {
    await feed.refresh(fail(0), false);
    await feed.refresh(fail(503), false);
    expect([ids(feed), feed.problem]).toEqual(['10 9 8 7', null]);
    await feed.load(fail(0));
    expect([ids(feed), feed.problem]).toEqual(['10 9 8 7', null]);
    await feed.load(fail(400));
    expect([ids(feed), feed.problem?.message]).toEqual(['', '400']);
  });

  test.each([0, 429, 500, 502, 503])(
    'failures with %d are said while they last, and nothing is missing afterwards',
    async (status) => {
      const rounds = [() => Promise.reject(new TypeError('cut')), fail(status)];
      for (const round of rounds) await feed.refresh(round, false);
      expect([ids(feed), feed.problem, feed.trouble?.message]).toEqual(['10 9 8 7', null, `${status}`]);
      newest = 12;
      await feed.refresh(source.fetch, false);
      expect([ids(feed), feed.trouble]).toEqual(['12 11 10 9 8 7', null]);
      // More than a page: the rest is behind "load more".
      await feed.refresh(fail(status), false);
      newest = 40;
      await feed.refresh(source.fetch, false);
      await feed.more(source.more);
      expect(ids(feed)).toBe('40 39 38 37 36 35 34 33');
    },
  );

  test('rows that wait outlast failures', async () => {
    newest = 12;
    await feed.refresh(source.fetch, true);
    await feed.refresh(fail(500), true);
    newest = 13;
    await feed.refresh(source.fetch, true);
    expect([ids(feed), feed.waiting]).toEqual(['10 9 8 7', 3]);
    feed.release();
    expect(ids(feed)).toBe('13 12 11 10 9 8 7');
  });

  test('a backend that is busy once is not worth a word', async () => {
    await feed.refresh(fail(503), false);
    expect(feed.trouble).toBeNull();
  });

  test('what is refused is no trouble that passes', async () => {
    await feed.refresh(fail(500), false);
    await feed.refresh(fail(403), false);
    expect([feed.problem?.message, feed.trouble]).toEqual(['403', null]);
    await feed.load(fail(500));
    expect([feed.problem, feed.trouble?.message]).toEqual([null, '500']);
  });

  test('pauses grow while attempts fail', async () => {
    const pauses = [];
    for (let round = 0; round < 6; round += 1) {
      pauses.push(feed.pauseMs(500));
      await feed.refresh(fail(500), false);
    }
    expect(pauses).toEqual([500, 1000, 2000, 4000, 5000, 5000]);
    expect(feed.pauseMs(7000)).toBe(7000);
    await feed.refresh(source.fetch, false);
    expect(feed.pauseMs(500)).toBe(500);
  });

  test('a search that failed is answered by a later round, without rows of the one before', async () => {
    feed.leave('before');
    await feed.load(fail(500));
    expect([ids(feed), feed.unanswered, feed.loading]).toEqual(['10 9 8 7', true, false]);
    // What is on the screen belongs to another search.
    await feed.more(source.more);
    feed.leave('after');
    expect(ids(feed)).toBe('10 9 8 7');
    const other = backend(() => 9);
    await feed.refresh(fail(0), false);
    await feed.refresh(other.fetch, true);
    expect([ids(feed), feed.next, feed.unanswered]).toEqual(['9 8 7 6', '6', false]);
    expect(other.asked).toEqual([null]);
    expect(feed.restore('after')).toBe(false);
  });

  test('"load more" that fails says so and stops nothing else', async () => {
    await feed.more(() => Promise.reject(new ApiError(400, { code: 'x', message: 'no such cursor' })));
    expect([feed.moreProblem?.message, feed.problem, feed.trouble]).toEqual(['no such cursor', null, null]);
    await feed.more(source.more);
    expect([ids(feed), feed.moreProblem]).toEqual(['10 9 8 7 6 5 4 3', null]);
  });

  test('a request that was given up changes nothing', async () => {
    await feed.load(() => Promise.reject(new DOMException('', 'AbortError')));
    expect(ids(feed)).toBe('10 9 8 7');
  });

  test('what was asked for the rows before changes nothing once others take their place', async () => {
    const takers = {
      more: (answer: Promise<FeedPage<Row>>) => feed.more(() => answer),
      load: (answer: Promise<FeedPage<Row>>) => feed.load(() => answer),
    };
    for (const take of [takers.more, takers.load]) {
      for (const late of [{ rows: [row(99)], next: '99', stats: undefined }, new Error('late')]) {
        let answer: () => void = () => undefined;
        const before = take(
          new Promise((resolve, reject) => {
            answer = () => {
              if (late instanceof Error) reject(late);
              else resolve(late);
            };
          }),
        );
        await feed.load(() => source.fetch(null));
        answer();
        await before;
        expect([ids(feed), feed.next, feed.problem]).toEqual(['10 9 8 7', '7', null]);
        expect([feed.loading, feed.loadingMore]).toEqual([false, false]);
      }
    }
  });

  test('a request for rows that are given up is aborted', async () => {
    const signals: AbortSignal[] = [];
    const ask = (signal: AbortSignal) => {
      signals.push(signal);
      return source.fetch(null);
    };
    await feed.load(ask);
    await feed.more((_, signal) => ask(signal));
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false]);
    await feed.load(ask);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, false]);
    feed.leave('there');
    expect(signals.at(-1)?.aborted).toBe(true);
  });

  test('rows that wait do not follow to another list', async () => {
    feed.leave('first');
    newest = 12;
    await feed.refresh(source.fetch, true);
    expect(feed.waiting).toBe(2);
    feed.restore('first');
    feed.release();
    expect([ids(feed), feed.waiting]).toEqual(['10 9 8 7', 0]);
  });

  test('a list that was left before its rows came is not remembered by those before', async () => {
    const loading = feed.load(() => Promise.reject(new DOMException('', 'AbortError')));
    feed.leave('too soon');
    await loading;
    expect(feed.restore('too soon')).toBe(false);
  });

  test('a list is shown as it was left', async () => {
    await feed.more(source.more);
    feed.leave('here');
    const later = new Feed<Row>(
      ({ id }) => id,
      ({ at }) => at,
    );
    expect(later.restore('elsewhere')).toBe(false);
    expect(later.restore('here')).toBe(true);
    expect(ids(later)).toBe('10 9 8 7 6 5 4 3');
    expect(later.loading).toBe(false);
  });
});
