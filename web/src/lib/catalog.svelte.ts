import { api } from './api/client';
import type { Run, Service } from './api/types';
import { poll } from './clock.svelte';
import { registerServices } from './palette.svelte';

/** Services and runs, for menus and for stable colours; the same for every page. */
class Catalog {
  services: Service[] = $state.raw([]);
  runs: Run[] = $state.raw([]);
  /** Grows when a service gets its colour, so that canvases know to draw again. */
  version = $state(0);

  watch(): () => void {
    return poll(async () => {
      const [services, runs] = await Promise.all([api.services(), api.runs()]);
      const known = this.services.map((service) => service.name).join('\n');
      registerServices(services.map((service) => service.name));
      this.services = [...services].sort((a, b) => a.name.localeCompare(b.name));
      this.runs = runs;
      if (this.services.map((service) => service.name).join('\n') !== known) this.version += 1;
    }, 5000);
  }
}

export const catalog = new Catalog();
