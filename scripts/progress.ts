import { MultiBar, Presets } from "cli-progress";
import type { Progress } from "../artifacts/measure.ts";
import { formatBytes } from "../artifacts/text.ts";

/** Shows how several transfers go on. */
export interface Display {
  add(title: string): { update(progress: Progress): void; note(text: string): void };
  stop(): void;
}

/** Bars on a terminal; in a log, a line per quarter. */
export function display(stream: NodeJS.WriteStream): Display {
  return stream.isTTY ? bars(stream) : lines(stream);
}

function bars(stream: NodeJS.WriteStream): Display {
  const format = "{title} [{bar}] {percentage}% of {size}  {note}";
  const all = new MultiBar({ stream, format, hideCursor: true, clearOnComplete: false }, Presets.shades_grey);
  return {
    add(title) {
      const bar = all.create(1, 0, { title: title.padEnd(16), size: "?", note: "" });
      return {
        update({ receivedBytes, totalBytes }) {
          bar.setTotal(totalBytes ?? receivedBytes + 1);
          bar.update(receivedBytes, { size: totalBytes === undefined ? "?" : formatBytes(totalBytes), note: "" });
        },
        note: (text) => bar.update({ note: text }),
      };
    },
    stop: () => all.stop(),
  };
}

function lines(stream: NodeJS.WriteStream): Display {
  return {
    add(title) {
      let quarter = 0;
      return {
        update({ receivedBytes, totalBytes }) {
          const now = totalBytes ? Math.floor((4 * receivedBytes) / totalBytes) : 0;
          if (now > quarter) {
            stream.write(`${title}: ${25 * now} % of ${formatBytes(totalBytes ?? 0)}\n`);
          }
          quarter = Math.max(quarter, now);
        },
        note: (text) => void stream.write(`${title}: ${text}\n`),
      };
    },
    stop() {},
  };
}
