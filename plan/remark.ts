/** What a person should know; `warn` where the config, or the machine, could be another. */
export interface Remark {
  severity: "info" | "warn";
  message: string;
}

export const warn = (message: string): Remark => ({ severity: "warn", message });
export const info = (message: string): Remark => ({ severity: "info", message });
