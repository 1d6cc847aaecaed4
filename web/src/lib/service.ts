import { visible } from './values';

/** What SDKs put before the program's name where no `service.name` is set. */
const UNKNOWN = /^unknown_service:(?=.)/;

/** The program of a service without a name of its own; null of one that has a name. */
export function programOf(service: string): string | null {
  return UNKNOWN.test(service) ? service.replace(UNKNOWN, '') : null;
}

/** A service in a menu, which is narrow: what tells two of them apart stands first. */
export function serviceLabel(name: string): string {
  const program = programOf(name);
  return visible(program === null ? name : `${program} · unknown_service`);
}
