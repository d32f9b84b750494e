/** Like Promise.allSettled, with at most so many at work at a time. */
export async function settleAll<Item, Result>(
  items: readonly Item[],
  limit: number,
  work: (item: Item) => Promise<Result>,
): Promise<PromiseSettledResult<Result>[]> {
  const results: PromiseSettledResult<Result>[] = [];
  const queue = items.entries();
  const worker = async () => {
    for (const [index, item] of queue) {
      [results[index] as PromiseSettledResult<Result>] = await Promise.allSettled([work(item)]);
    }
  };
  await Promise.all(Array.from({ length: limit }, worker));
  return results;
}
