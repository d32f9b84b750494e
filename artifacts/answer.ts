/** What a question about the world outside came to. Not to know is no kind of "as left". */
export type Standing = "as left" | "changed" | "not known";

export interface Answer {
  /** What was asked about, without secrets. */
  asked: string;
  standing: Standing;
  /** What was answered, or why nothing was: the rest of a sentence that begins with what was asked about. */
  said: string;
}
