import { rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type Turn, withLock } from "../artifacts/lock.ts";
import { type Lock, type LockedStack, locksOf, refuseLocked, remedy, who } from "./locks.ts";
import { Failure, say } from "./say.ts";
import { endLeftovers, sayEnded } from "./updates.ts";

/**
 * Takes the lock of an update that was killed off a stack, and ends what it left running. Says who held it.
 *
 * @param force also when it cannot be told whether the update still runs
 * @throws Failure when it runs, or may run
 */
export async function unlock(stack: LockedStack, force: boolean): Promise<void> {
  const locks = locksOf(stack);
  const held = locks.find(({ alive }) => alive || (alive === undefined && !force));
  if (held) {
    throw new Failure(`The stack ${stack.stack} is being updated by ${who(held)}. ${remedy(held)}`);
  }
  await takeOff(stack, locks);
  if (locks.length === 0) {
    say(`the stack ${stack.stack} is not locked`);
  }
}

/** Longer than an update takes that builds everything. */
const patienceMs = 1_800_000;

/**
 * Lets an update begin, and keeps others from it until this process ends. Waits for one that is at work, takes off the locks of
 * those that were killed, ends what they left running, and says so.
 *
 * @param command what a person types to look closer, such as `make unlock`
 * @throws Failure when another update holds the stack, or may hold it
 */
export async function claim(stack: LockedStack, command: string, patience = patienceMs): Promise<void> {
  const until = performance.now() + patience;
  await hold(stack, until);
  await refuseOthers(stack, command, until);
}

const held = new Set<string>();

/** Keeps other commands from a stack: the engine's own lock comes only after the set-up. */
async function hold({ state, project, stack }: LockedStack, until: number): Promise<void> {
  const name = `update ${state} ${project} ${stack}`;
  if (held.has(name)) {
    return;
  }
  const waiting = setTimeout(() => say(`another command is at work on the stack ${stack}; waiting for it`), 1000);
  await new Promise<void>((resolve, reject) => {
    const kept = (turn: Turn) => {
      if (!turn.held && performance.now() >= until) {
        throw new Failure(
          `Another command is still at work on the stack ${stack}. Wait for it, or end it, and run this again.`,
        );
      }
      held.add(name);
      resolve();
      return new Promise<never>(() => {});
    };
    withLock(name, kept, { longestMs: until - performance.now() }).catch(reject);
  }).finally(() => clearTimeout(waiting));
}

/** An engine may have been started in another way, too. */
async function refuseOthers(stack: LockedStack, command: string, until: number): Promise<void> {
  if (locksOf(stack).some(({ pid }) => pid === 0)) {
    await sleep(1000); // It may be being written.
  }
  let locks = locksOf(stack);
  const holder = locks.find(({ alive }) => alive);
  if (holder && performance.now() < until) {
    say(`the stack ${stack.stack} is being updated by ${who(holder)}; waiting for it`);
  }
  while (locks.some(({ alive }) => alive) && performance.now() < until) {
    await sleep(500);
    locks = locksOf(stack);
  }
  if (locks.every(({ alive }) => alive === false)) {
    await takeOff(stack, locks);
  }
  refuseLocked(stack, command);
}

async function takeOff({ stack }: LockedStack, locks: readonly Lock[]): Promise<void> {
  const ended = await endLeftovers();
  for (const lock of locks) {
    // The file is all that the lock is (and all that `pulumi cancel` removes).
    rmSync(lock.file, { force: true });
    say(`the stack ${stack} was locked by ${who(lock)}; it no longer is`);
  }
  sayEnded(ended);
}
