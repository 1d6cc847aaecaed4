import { expect, test } from 'vitest';

import { allocationsOf } from './allocations';

const int = (key: string, value: string) => ({ key, type: 'int', value }) as const;
const words = (key: string, value: string) => ({ key, type: 'string', value }) as const;

test('attributes of allocations are read, and others say nothing', () => {
  expect(allocationsOf([int('http.status_code', '200')])).toBeNull();
  const found = allocationsOf([
    int('alloc.count', '4'),
    int('alloc.bytes', '4096'),
    int('dealloc.count', '5'),
    int('dealloc.bytes', '5120'),
    int('alloc.net_bytes', '-1024'),
    int('alloc.total.bytes', '9000'),
    int('dealloc.total.bytes', '10'),
  ]);
  expect(found).toEqual({
    own: { allocations: 4, bytes: 4096, deallocations: 5, freed: 5120, net: -1024 },
    total: { allocations: 0, bytes: 9000, deallocations: 0, freed: 10, net: 0 },
    rest: [],
  });
});

test('what is told of allocations is not left among the other attributes', () => {
  const [method, foreign, unknown] = [
    words('http.method', 'GET'),
    words('dealloc.bytes', 'many'),
    int('alloc.peak_bytes', '7'),
  ];
  const found = allocationsOf([method, int('alloc.bytes', '1'), foreign, unknown, int('alloc.count', '1')]);
  expect(found?.rest).toEqual([method, foreign, unknown]);
  expect(found?.own.freed).toBe(0);
  expect(allocationsOf([words('alloc.bytes', 'many')])).toBeNull();
});
