import { rmSync } from "node:fs";
import { type LockedStack, locksOf, remedy, who } from "./locks.ts";
import { Failure, say } from "./say.ts";
import { endLeftovers } from "./updates.ts";

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
  const ended = await endLeftovers();
  for (const lock of locks) {
    // The file is all that the lock is (and all that `pulumi cancel` removes).
    rmSync(lock.file, { force: true });
    say(`the stack ${stack.stack} was locked by ${who(lock)}; it no longer is`);
  }
  if (locks.length === 0) {
    say(`the stack ${stack.stack} is not locked`);
  }
  if (ended > 0) {
    say(`ended ${ended} ${ended === 1 ? "process" : "processes"} that a killed update had left behind`);
  }
}
