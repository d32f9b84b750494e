import { givenLogin } from "../registry/login.ts";
import { askPublished, type Published, settleTags } from "../registry/tags.ts";
import { warn } from "./warn.ts";

/** What a PublishedTags is told. */
export interface Inputs {
  /** Without a tag. */
  repository: string;
  moving: string;
  immutable: string;
  digest: string;
  username?: string;
  password?: string;
}

/** What the stack remembers of it. */
export interface State extends Inputs {
  /** In what way the tags no longer name the release, as the last refresh found it; empty when they do. */
  drift: string;
}

const compared = ["repository", "moving", "immutable", "digest", "username", "password"] as const;

/** Tags that somebody moved or removed are put right by the next update. */
export async function diff(_id: string, olds: State, news: Inputs): Promise<{ changes: boolean }> {
  return { changes: compared.some((key) => olds[key] !== news[key]) || Boolean(olds.drift) };
}

export async function create(inputs: Inputs): Promise<{ id: string; outs: State }> {
  warn(await settleTags(published(inputs), givenLogin(inputs)));
  return { id: `${inputs.repository}:${inputs.moving}`, outs: { ...inputs, drift: "" } };
}

export async function update(_id: string, olds: State, news: Inputs): Promise<{ outs: State }> {
  const mended = await settleTags(published(news), givenLogin(news));
  // Where the image was gone too, the builder's push has already written over what somebody else had put there.
  warn(mended.length === 0 && olds.drift ? [`Put right by this update: ${olds.drift}`] : mended);
  if (olds.repository === news.repository && olds.immutable === news.immutable && olds.digest !== news.digest) {
    // It was gone, and was built anew from the same inputs.
    warn([`${news.repository}:${news.immutable} was ${olds.digest}, and is ${news.digest} from now on`]);
  }
  return { outs: { ...news, drift: "" } };
}

/** Refresh: asks the registry what the tags name. A registry that does not say changes nothing. */
export async function read(id: string, state: State): Promise<{ id: string; props: State }> {
  const [, ...tags] = await askPublished(published(state), givenLogin(state));
  const unknown = tags.filter(({ standing }) => standing === "not known");
  const moved = tags.filter(({ standing }) => standing === "changed").map(({ asked, said }) => `${asked} ${said}`);
  warn(unknown.map(({ asked, said }) => `It is not known whether ${asked} names the release: ${said}`));
  warn(moved);
  const drift = moved.length === 0 && unknown.length > 0 ? state.drift : moved.join("; and ");
  return { id, props: { ...state, drift } };
}

function published({ repository, moving, immutable, digest }: Inputs): Published {
  return { repository, tags: [moving, immutable], digest };
}
