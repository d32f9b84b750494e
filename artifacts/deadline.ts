export interface DeadlineOptions {
  /** What is waited for when no step says so. */
  what: () => string;
  /** The caller's: ends everything at once. */
  signal?: AbortSignal | undefined;
  /** How long all of it may take, in milliseconds since the start; asked again when that time has come. */
  allowedMs: () => number;
  /** What is thrown when it took longer. */
  late: () => Error;
  /** Told now and then what is being waited for. */
  say?: ((waitingFor: string) => void) | undefined;
  /** How often, in milliseconds. Default: every ten seconds. */
  sayEveryMs?: number | undefined;
}

export interface Step {
  /** What is waited for, as it is told to a person; asked when it is told. */
  what: () => string;
  /** How long it may take without progress. */
  limitMs: number;
  /** What is thrown when it took longer; undefined lets it go on. */
  late: () => Error | undefined;
}

/** What a step is given: its end, and a way to say that it got on. */
export interface Running {
  signal: AbortSignal;
  progress: () => void;
}

/**
 * One deadline for a piece of work and for each of its steps. Whatever does not come to an end by itself is left behind:
 * the wait for it ends in any case, whether or not it heeds its signal.
 */
export class Deadline {
  readonly signal: AbortSignal;
  readonly #over = new AbortController();
  #what: () => string;

  private constructor({ signal, what }: DeadlineOptions) {
    this.signal = signal === undefined ? this.#over.signal : AbortSignal.any([signal, this.#over.signal]);
    this.#what = what;
  }

  /** Runs the work; @throws what it throws, `late`, or the reason of the caller's signal. */
  static async over<T>(options: DeadlineOptions, work: (deadline: Deadline) => Promise<T>): Promise<T> {
    const deadline = new Deadline(options);
    deadline.signal.throwIfAborted();
    const startedAt = performance.now();
    let timer: NodeJS.Timeout | undefined;
    const check = () => {
      const leftMs = options.allowedMs() - (performance.now() - startedAt);
      if (leftMs <= 0) {
        deadline.#over.abort(options.late());
      } else {
        timer = setTimeout(check, Math.min(leftMs, 2 ** 31 - 1));
      }
    };
    check();
    const saying = setInterval(() => {
      options.say?.(deadline.#what());
    }, options.sayEveryMs ?? 10_000);
    try {
      return await ended(work(deadline), deadline.signal);
    } finally {
      clearTimeout(timer);
      clearInterval(saying);
    }
  }

  /** One step of the work, with a limit of its own. */
  async step<T>({ what, limitMs, late }: Step, work: (running: Running) => Promise<T>): Promise<T> {
    const stop = new AbortController();
    const signal = AbortSignal.any([this.signal, stop.signal]);
    const timer = setTimeout(() => {
      const error = late();
      if (error === undefined) {
        timer.refresh();
      } else {
        stop.abort(error);
      }
    }, limitMs);
    const before = this.#what;
    this.#what = what;
    try {
      return await ended(work({ signal, progress: () => timer.refresh() }), signal);
    } finally {
      clearTimeout(timer);
      this.#what = before;
    }
  }

  /** Says what is waited for from now on, where the wait has an end of its own. */
  waitingFor(what: () => string): void {
    this.#what = what;
  }
}

/** What the work comes to, or the signal's reason as soon as there is one. */
async function ended<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = () => {};
  const stopped = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) {
      stop();
    }
  });
  try {
    return await Promise.race([work, stopped]);
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", stop);
    // Whatever is left behind may still fail, unheard.
    work.catch(() => {});
    stopped.catch(() => {});
  }
}
