import type { Attribute, LogRecord } from './api/types';
import { valueLine } from './values';

/** What a record without a message is about, the most telling first. */
const TELLING = ['error', 'exception.message', 'err', 'exception.type'];

export interface Message {
  /** One line. */
  text: string;
  /** What is to be said of the record beside it. */
  rest: readonly Attribute[];
}

/** What stands for a record in a list: its body, else the name of the event, else the attribute that tells most. */
export function messageOf(log: Pick<LogRecord, 'body' | 'event_name' | 'attributes'>): Message {
  const { attributes } = log;
  const text = valueLine(log.body) || visibleName(log.event_name);
  if (text !== '') return { text, rest: attributes };
  const chosen =
    TELLING.map((key) => attributes.find((attribute) => attribute.key === key)).find(Boolean) ??
    attributes[0];
  if (!chosen) return { text: '', rest: [] };
  return {
    text: `${chosen.key}=${valueLine(chosen)}`,
    rest: attributes.filter((attribute) => attribute !== chosen),
  };
}

function visibleName(name: string): string {
  return valueLine({ type: 'string', value: name });
}
