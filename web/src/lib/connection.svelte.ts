import { api, watchReachability } from './api/client';
import { poll } from './clock.svelte';

/** Whether the backend answers, which is the last thing any request saw, and since when it has something stored. */
class Connection {
  reachable = $state(true);
  /** Null while it is not known, or nothing is stored. */
  oldest: string | null = $state(null);

  constructor() {
    watchReachability((reachable) => (this.reachable = reachable));
  }

  /** Asks while nothing else does, so that a page without live refresh notices both ends of an outage. */
  watch(): () => void {
    return poll(async (signal) => {
      this.oldest = (await api.status(signal)).store.oldest_unix_nano;
    }, 3000);
  }
}

export const connection = new Connection();
