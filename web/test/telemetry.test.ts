import { expect, test } from "vitest";
import record from "../../tests/golden/record.json";
import { MemoryStore, Outbox, openStore, type Post } from "../src/telemetry";

const named = (id: string) => JSON.stringify({ ...record, id });

function collector() {
  const bodies: { schema: number; records: { id: string }[] }[] = [];
  const state = { away: false, only: Number.POSITIVE_INFINITY };
  const post: Post = async (body) => {
    if (state.away) throw new TypeError("Failed to fetch");
    const read = JSON.parse(body);
    bodies.push(read);
    return { accepted: read.records.slice(0, state.only).map(({ id }: { id: string }) => id) };
  };
  return { bodies, state, post };
}

test("records go out as they were written and are forgotten once acknowledged", async () => {
  const { bodies, post } = collector();
  const outbox = new Outbox(new MemoryStore(), post);
  await outbox.add(named("a"));

  const flushed = await outbox.flush();

  expect(bodies).toEqual([{ schema: 1, records: [{ ...record, id: "a" }] }]);
  expect(flushed).toEqual({ sent: 1, left: 0 });
  expect(await outbox.flush()).toEqual({ sent: 0, left: 0 });
  expect(bodies).toHaveLength(1);
});

test("a collector that is away costs nothing: all is sent later", async () => {
  const { bodies, state, post } = collector();
  const outbox = new Outbox(new MemoryStore(), post);
  for (const id of ["a", "b"]) await outbox.add(named(id));
  state.away = true;

  expect(await outbox.flush()).toEqual({ sent: 0, left: 2 });
  state.away = false;
  expect(await outbox.flush()).toEqual({ sent: 2, left: 0 });
  expect(bodies[0]?.records.map(({ id }) => id)).toEqual(["a", "b"]);
});

test("only what was acknowledged is forgotten", async () => {
  const { state, post } = collector();
  const store = new MemoryStore();
  const outbox = new Outbox(store, post);
  for (const id of ["a", "b", "c"]) await outbox.add(named(id));
  state.only = 0;

  expect(await outbox.flush()).toEqual({ sent: 0, left: 3 });
  state.only = 2;
  const { sent, left } = await outbox.flush();

  expect({ sent, left }).toEqual({ sent: 3, left: 0 }); // two, then the one that was left
});

test("an id that was not sent is not removed on a collector's word", async () => {
  const store = new MemoryStore();
  let calls = 0;
  const outbox = new Outbox(store, async () => {
    if (calls++ > 0) throw new TypeError("Failed to fetch");
    await store.put("late", named("late")); // comes in while "a" is under way
    return { accepted: ["a", "late"] };
  });
  await outbox.add(named("a"));

  expect(await outbox.flush()).toEqual({ sent: 1, left: 1 });
});

test("two flushes at once send once", async () => {
  const { bodies, post } = collector();
  const outbox = new Outbox(new MemoryStore(), post);
  await outbox.add(named("a"));

  const [one, two] = await Promise.all([outbox.flush(), outbox.flush()]);

  expect(one).toEqual(two);
  expect(bodies).toHaveLength(1);
});

test("an answer that is no acknowledgement loses nothing", async () => {
  const outbox = new Outbox(new MemoryStore(), async () => "<html>hello</html>");
  await outbox.add(named("a"));

  expect(await outbox.flush()).toEqual({ sent: 0, left: 1 });
});

test("what is no record never gets in", async () => {
  const outbox = new Outbox(new MemoryStore(), async () => ({ accepted: [] }));

  await expect(outbox.add('{"schema":1}')).rejects.toThrow(/record.id/);
});

test("the outbox is bounded: the oldest records make room", async () => {
  const { bodies, post } = collector();
  const outbox = new Outbox(new MemoryStore(), post);
  for (let i = 0; i < 501; i++) await outbox.add(named(`n${i}`));

  expect(await outbox.flush()).toEqual({ sent: 500, left: 0 });
  expect(bodies[0]?.records[0]?.id).toBe("n1");
});

test("without storage an outbox still works until the page is left", async () => {
  // this environment has no IndexedDB at all
  expect(await openStore("sanderling /")).toBeInstanceOf(MemoryStore);
});
