// Values as the SDK takes them, and their type and value as the API of the backend answers them.

export const TEXT = 'café ☕ \u0000\u001b[31m</script> "quoted" \\';

const string = (value) => ({ type: 'string', value });
const int = (value) => ({ type: 'int', value: String(value) });
const double = (value) => ({ type: 'double', value });
const bool = (value) => ({ type: 'bool', value });
const array = (...value) => ({ type: 'array', value });

export const ATTRIBUTES = {
  text: [TEXT, string(TEXT)],
  'text.empty': ['', string('')],
  flag: [true, bool(true)],
  'flag.off': [false, bool(false)],
  int: [42, int(42)],
  'int.negative': [-1, int(-1)],
  'int.safe': [Number.MAX_SAFE_INTEGER, int('9007199254740991')],
  double: [0.1, double(0.1)],
  'double.tiny': [5e-324, double(5e-324)],
  texts: [['a', TEXT], array(string('a'), string(TEXT))],
  flags: [[true, false], array(bool(true), bool(false))],
  ints: [[1, -2], array(int(1), int(-2))],
  doubles: [[0.5, -1.5], array(double(0.5), double(-1.5))],
  none: [[], array()],
};

// What JSON writes otherwise. A whole number is an integer to this SDK; as JSON it may be written as one that 64 bits
// do not hold, and what is no number is written as null.
export const BY_PROTOCOL = {
  'int.min': [-(2 ** 63), int('-9223372036854775808'), double(-(2 ** 63))],
  'double.huge': [1e21, double(1e21), double(1e21)],
  'double.infinite': [Infinity, double('Infinity'), { type: 'empty', value: null }],
  'double.nan': [NaN, double('NaN'), { type: 'empty', value: null }],
};

// What only log records may carry.
export const EXTENDED = {
  bytes: [new Uint8Array([0, 255]), { type: 'bytes', value: 'AP8=' }],
  map: [
    { inner: { deep: [1, 'two'] }, flag: true },
    {
      type: 'map',
      value: [
        { key: 'inner', type: 'map', value: [{ key: 'deep', ...array(int(1), string('two')) }] },
        { key: 'flag', ...bool(true) },
      ],
    },
  ],
};

const column = (index) => (values) =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [key, value[index]]));

export const given = column(0);
export const answered = column(1);
export const answeredToJson = column(2);
