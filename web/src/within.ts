/** The same promise, for so long; then it rejects with `late`, whatever becomes of the work. */
export function within<T>(work: Promise<T>, limitMs: number, late: Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late), limitMs);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
