// @vitest-environment node
import { afterEach, expect, test, vi } from "vitest";
import record from "../../tests/golden/record.json";
import { MemoryStore, type OutboxStore, openStore } from "../src/keeping";
import { type Post, Refusal } from "../src/posting";
import { Outbox } from "../src/telemetry";

interface Message {
  schema: number;
  sent: string;
  records: { id: string; dropped?: number }[];
}

const named = (id: string, more: object = {}) => JSON.stringify({ ...record, id, ...more });

function collector() {
  const bodies: Message[] = [];
  const texts: string[] = [];
  const state = { away: false, only: Number.POSITIVE_INFINITY, refuses: "", status: 400, wait: 0 };
  const post: Post = async (body) => {
    if (state.away) throw new TypeError("Failed to fetch");
    const read: Message = JSON.parse(body);
    if (read.records.some(({ id }) => id === state.refuses)) {
      throw new Refusal(state.status, state.wait);
    }
    bodies.push(read);
    texts.push(body);
    return read.records.slice(0, state.only).map(({ id }) => id);
  };
  return { bodies, texts, state, post };
}

let boxes = 0;

/** As a page of its own: no other one has its name. */
function outbox(post: Post, store: OutboxStore = new MemoryStore()): Outbox {
  return new Outbox(`outbox ${boxes++}`, async () => store, post);
}

afterEach(() => {
  vi.useRealTimers();
});

test("records go out as they were written and are forgotten once acknowledged", async () => {
  const { bodies, post } = collector();
  const box = outbox(post);
  await box.add(named("a"));

  const flushed = await box.flush();

  expect(bodies).toEqual([
    { schema: 1, sent: expect.stringMatching(/^\d{4}-.*Z$/), records: [{ ...record, id: "a" }] },
  ]);
  expect(flushed).toEqual({ sent: 1, left: 0 });
  expect(await box.flush()).toEqual({ sent: 0, left: 0 });
  expect(bodies).toHaveLength(1);
});

test("a collector that is away costs nothing: all is sent later", async () => {
  const { bodies, state, post } = collector();
  const box = outbox(post);
  for (const id of ["a", "b"]) await box.add(named(id));
  state.away = true;

  expect(await box.flush()).toEqual({ sent: 0, left: 2 });
  state.away = false;
  expect(await box.flush()).toEqual({ sent: 2, left: 0 });
  expect(bodies[0]?.records.map(({ id }) => id)).toEqual(["a", "b"]);
});

test("only what was acknowledged is forgotten", async () => {
  const { state, post } = collector();
  const box = outbox(post);
  for (const id of ["a", "b", "c"]) await box.add(named(id));
  state.only = 0;

  expect(await box.flush()).toEqual({ sent: 0, left: 3 });
  state.only = 2;
  const { sent, left } = await box.flush();

  expect({ sent, left }).toEqual({ sent: 3, left: 0 }); // two, then the one that was left
});

test("an id that was not sent is not removed on a collector's word", async () => {
  const store = new MemoryStore();
  let calls = 0;
  const box = outbox(async () => {
    if (calls++ > 0) throw new TypeError("Failed to fetch");
    await store.put("late", named("late")); // comes in while "a" is under way
    return ["a", "late"];
  }, store);
  await box.add(named("a"));

  expect(await box.flush()).toEqual({ sent: 1, left: 1 });
});

test("two flushes at once send once", async () => {
  const { bodies, post } = collector();
  const box = outbox(post);
  await box.add(named("a"));

  const [one, two] = await Promise.all([box.flush(), box.flush()]);

  expect(one).toEqual(two);
  expect(bodies).toHaveLength(1);
});

test("what comes while a round is under way goes out in it", async () => {
  const { bodies, post } = collector();
  const store = new MemoryStore();
  const box = outbox(post, store);
  let goOn = () => {};
  const looked = vi.spyOn(store, "oldest").mockImplementationOnce(async () => {
    await new Promise<void>((resolve) => {
      goOn = resolve;
    });
    return [];
  });
  const early = box.flush();
  await vi.waitUntil(() => looked.mock.calls.length > 0);
  await box.add(named("a"));
  const late = box.flush();
  goOn();

  expect(await late).toEqual({ sent: 1, left: 0 });
  expect(await early).toEqual(await late);
  expect(bodies).toHaveLength(1);
});

test("two tabs with one store send once", async () => {
  if (!navigator.locks) return; // a Node without them cannot tell
  const { bodies, post } = collector();
  const store = new MemoryStore();
  const [here, there] = [0, 1].map(() => new Outbox("twins", async () => store, post));
  await here?.add(named("a"));

  const found = await Promise.all([here?.flush(), there?.flush()]);

  expect(found.map((flushed) => flushed?.sent).sort()).toEqual([0, 1]);
  expect(bodies).toHaveLength(1);
});

test("what is no record never gets in", async () => {
  const box = outbox(async () => []);

  await expect(box.add('{"schema":1}')).rejects.toThrow(/record.id/);
});

test("no store is opened before there is something to keep", async () => {
  const open = vi.fn(async () => new MemoryStore());
  const box = new Outbox("unused", open, async () => []);

  expect(open).not.toHaveBeenCalled();
  await box.add(named("a"));
  await box.flush();
  expect(open).toHaveBeenCalledOnce();
});

test("a message stays below the limit of a page that is left", async () => {
  const { bodies, texts, post } = collector();
  const box = outbox(post);
  for (let i = 0; i < 120; i++) await box.add(named(`n${i}`, { note: "é".repeat(500) }));

  expect(await box.flush()).toEqual({ sent: 120, left: 0 });

  expect(Math.max(...texts.map((text) => new TextEncoder().encode(text).length))).toBeLessThan(
    60_000,
  );
  expect(bodies.length).toBeLessThan(10);
  expect(bodies.flatMap(({ records }) => records.map(({ id }) => id))).toEqual(
    Array.from({ length: 120 }, (_, i) => `n${i}`),
  );
});

test("a record that fills more than a message goes alone", async () => {
  const { bodies, post } = collector();
  const box = outbox(post);
  await box.add(named("a"));
  await box.add(named("wide", { note: "x".repeat(100_000) }));
  await box.add(named("b"));

  expect(await box.flush()).toEqual({ sent: 3, left: 0 });
  expect(bodies.map(({ records }) => records.map(({ id }) => id))).toEqual([
    ["a"],
    ["wide"],
    ["b"],
  ]);
});

test("a record that is more than the collector takes is left out, told of, counted and not tried again", async () => {
  const { bodies, state, post } = collector();
  const tries = vi.fn(post);
  const box = outbox(tries);
  await box.add(named("a"));
  await box.add(named("wide", { note: "x".repeat(100_000) }));
  Object.assign(state, { refuses: "wide", status: 413 });

  const first = await box.flush();

  expect([first.sent, first.left]).toEqual([1, 0]);
  expect(first.why).toMatch(/more than the collector takes/);
  expect(tries).toHaveBeenCalledTimes(2);

  await box.add(named("wider", { note: "x".repeat(100_001) }));
  await box.add(named("b"));

  const second = await box.flush();

  expect([second.sent, second.left]).toEqual([1, 0]);
  expect(second.why).toBe(first.why);
  expect(tries).toHaveBeenCalledTimes(3); // with "b" alone
  await box.add(named("c"));
  expect(await box.flush()).toEqual({ sent: 1, left: 0 });
  expect(accounted(bodies)).toBe(5);
});

test("a small record that a host finds too large waits, for the next one may be kinder", async () => {
  const { state, post } = collector();
  const box = outbox(post);
  await box.add(named("a"));
  Object.assign(state, { refuses: "a", status: 413 });

  expect(await box.flush()).toEqual({ sent: 0, left: 1 });
});

test("a record that the collector cannot read keeps no other one back", async () => {
  const { bodies, state, post } = collector();
  const box = outbox(post);
  for (let i = 0; i < 9; i++) await box.add(named(`n${i}`));
  state.refuses = "n4";

  expect(await box.flush()).toEqual({ sent: 8, left: 1 });

  const sent = bodies.flatMap(({ records }) => records.map(({ id }) => id));
  expect(sent).toEqual(["n0", "n1", "n2", "n3", "n5", "n6", "n7", "n8"]);
  await box.add(named("n9"));
  expect(await box.flush()).toEqual({ sent: 1, left: 1 }); // it is not offered again before a reload
});

test.each([401, 403, 404])("a page whose records nobody takes is told so (%i)", async (status) => {
  const { state, post } = collector();
  const box = outbox(post);
  await box.add(named("a"));
  Object.assign(state, { refuses: "a", status });

  const { sent, left, why } = await box.flush();

  expect([sent, left]).toEqual([0, 1]);
  expect(why).toMatch(/collector/);
});

test("the third try waits, each further one twice as long, at most an hour", async () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  let tries = 0;
  const box = outbox(async () => {
    tries += 1;
    throw new TypeError("Failed to fetch");
  });
  await box.add(named("a"));
  const waits: number[] = [];

  for (let round = 0; round < 12; round++) {
    const before = tries;
    let waited = 0;
    while (tries === before) {
      await box.flush();
      if (tries > before) break;
      vi.advanceTimersByTime(1000);
      waited += 1;
    }
    waits.push(waited);
  }

  expect(waits.slice(0, 2)).toEqual([0, 0]);
  for (const [index, waited] of waits.slice(2).entries()) {
    const longest = Math.min(3600, 30 * 2 ** index);
    expect(waited).toBeGreaterThanOrEqual(Math.floor(Math.min(3600, longest / 2)));
    expect(waited).toBeLessThanOrEqual(longest + 1);
  }
  box.hurry(); // the network is back
  const before = tries;
  await box.flush();
  expect(tries).toBe(before + 1);
});

test("visitors do not return all at once", async () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  const returned: number[] = [];
  const visitors = Array.from({ length: 20 }, (_, visitor) => {
    let tries = 0;
    return outbox(async () => {
      if (++tries === 3) returned[visitor] = performance.now();
      throw new TypeError("Failed to fetch");
    });
  });
  for (const box of visitors) {
    await box.add(named("a"));
    await box.flush();
    await box.flush();
  }

  for (let second = 0; second < 40; second++) {
    vi.advanceTimersByTime(1000);
    for (const box of visitors) await box.flush();
  }

  expect(returned).toHaveLength(20);
  expect(new Set(returned).size).toBeGreaterThan(5);
});

test("a collector that has answered is as good as new", async () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  const { state, post } = collector();
  const box = outbox(post);
  await box.add(named("a"));
  state.away = true;
  for (let i = 0; i < 2; i++) await box.flush();
  state.away = false;
  vi.advanceTimersByTime(60_000);
  expect(await box.flush()).toEqual({ sent: 1, left: 0 });

  await box.add(named("b"));
  state.away = true;
  await box.flush();
  state.away = false;

  expect(await box.flush()).toEqual({ sent: 1, left: 0 }); // as after any first failure, at once
});

test("a collector that asks for patience gets it", async () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  const { bodies, state, post } = collector();
  const box = outbox(post);
  await box.add(named("a"));
  Object.assign(state, { refuses: "a", status: 429, wait: 90_000 });
  await box.flush();
  state.refuses = "";

  vi.advanceTimersByTime(89_000);
  expect(await box.flush()).toEqual({ sent: 0, left: 1 });
  vi.advanceTimersByTime(2000);
  expect(await box.flush()).toEqual({ sent: 1, left: 0 });
  expect(bodies).toHaveLength(1);
});

test("consent taken back empties the outbox and breaks off what is under way", async () => {
  let [underWay, stopped] = [false, false];
  const box = outbox(
    (_, stop) =>
      new Promise((_resolve, reject) => {
        underWay = true;
        stop.addEventListener("abort", () => {
          stopped = true;
          reject(stop.reason);
        });
      }),
  );
  await box.add(named("a"));
  const flushing = box.flush();
  await vi.waitFor(() => expect(underWay).toBe(true));

  await box.clear();

  expect(await flushing).toEqual({ sent: 0, left: 0 });
  expect(stopped).toBe(true);
});

test("a flush that follows a no sends nothing", async () => {
  const { bodies, post } = collector();
  const box = outbox(post);

  const [, , flushed] = await Promise.all([box.add(named("a")), box.clear(), box.flush()]);

  expect(flushed).toEqual({ sent: 0, left: 0 });
  expect(bodies).toEqual([]);
});

test("a record on its way into the outbox is emptied out with the others", async () => {
  const store = new MemoryStore();
  const box = outbox(async () => [], store);

  await Promise.all([box.add(named("a")), box.clear()]);

  expect(await store.count()).toBe(0);
});

/** How many records there were: those that came in, and those that are told to have given way. */
function accounted(bodies: readonly Message[]): number {
  const all = bodies.flatMap(({ records }) => records);
  return all.reduce((total, { dropped }) => total + 1 + (dropped ?? 0), 0);
}

test("the outbox is bounded: the oldest records make room, and the next one says so", async () => {
  const { bodies, post } = collector();
  const box = outbox(post);
  for (let i = 0; i < 1100; i++) await box.add(named(`n${i}`)); // 600 give way, and some of them tell of others

  expect(await box.flush()).toEqual({ sent: 500, left: 0 });
  expect(bodies[0]?.records[0]?.id).toBe("n600");
  expect(accounted(bodies)).toBe(1100);
});

/** A store on a disk that has room for so many records. */
class SmallStore extends MemoryStore {
  constructor(private readonly room: number) {
    super();
  }

  override async put(id: string, text: string): Promise<void> {
    if ((await this.count()) >= this.room) throw new DOMException("full", "QuotaExceededError");
    await super.put(id, text);
  }
}

/** The same: `Outbox` falls back on a `MemoryStore`, and must not take this for one. */
function disk(room: number): OutboxStore {
  const store = new SmallStore(room);
  return {
    put: (id, text) => store.put(id, text),
    oldest: (limit) => store.oldest(limit),
    remove: (ids) => store.remove(ids),
    count: () => store.count(),
    clear: () => store.clear(),
  };
}

test("on a full disk the oldest give way, and the next one says how many", async () => {
  const { bodies, post } = collector();
  const box = outbox(post, disk(60));
  for (let i = 0; i < 200; i++) await box.add(named(`n${i}`));

  const { sent, left } = await box.flush();

  expect(left).toBe(0);
  expect(sent).toBeLessThanOrEqual(60);
  expect(bodies.at(-1)?.records.at(-1)?.id).toBe("n199");
  expect(accounted(bodies)).toBe(200);
});

test("on a disk that others have filled memory is used", async () => {
  const { bodies, post } = collector();
  const box = outbox(post, disk(0));
  for (let i = 0; i < 3; i++) await box.add(named(`n${i}`));

  expect(await box.flush()).toEqual({ sent: 3, left: 0 });
  expect(accounted(bodies)).toBe(3);
});

test("without storage an outbox still works until the page is left", async () => {
  // this environment has no IndexedDB at all
  expect(await openStore("sanderling /")).toBeInstanceOf(MemoryStore);
});

test("a refusal that may pass is not taken for a message that cannot be read", () => {
  const unreadable = [400, 401, 403, 408, 413, 415, 422, 429, 500, 503, 507].filter(
    (status) => new Refusal(status, 0).unreadable,
  );

  expect(unreadable).toEqual([400, 413, 415, 422]);
});
