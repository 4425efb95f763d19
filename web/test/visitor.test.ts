import { beforeEach, expect, test, vi } from "vitest";
import { agree, agreedName, disagree, onDisagreed } from "../src/visitor";

const here = new URL("http://localhost/demo/");
const there = new URL("http://localhost/other/");

beforeEach(() => localStorage.clear());

test("a yes is remembered under one name, and forgotten with a no", () => {
  expect(agreedName(here)).toBeNull();

  const name = agree(here);

  expect(agree(here)).toBe(name);
  expect(agreedName(here)).toBe(name);
  disagree(here);
  expect(agreedName(here)).toBeNull();
  expect(agree(here)).not.toBe(name); // what comes now cannot be told to come from the same
});

test("one bundle's yes is not another's", () => {
  agree(here);

  expect(agreedName(there)).toBeNull();
});

test("a name says nothing, and is another one each time", () => {
  const names = Array.from({ length: 100 }, () => {
    disagree(here);
    return agree(here);
  });

  for (const name of names) expect(name).toMatch(/^browser-[0-9a-f]{12}$/);
  expect(new Set(names).size).toBe(100);
});

test("a no in another tab is heard, and nothing else is", () => {
  const heard = vi.fn();
  onDisagreed(here, heard);
  const tell = (key: string | null, newValue: string | null) =>
    dispatchEvent(new StorageEvent("storage", { key, newValue }));

  tell("sanderling device /demo/", "browser-0123456789ab");
  tell("sanderling device /other/", null);
  expect(heard).not.toHaveBeenCalled();
  tell("sanderling device /demo/", null);
  tell(null, null); // everything was cleared
  expect(heard).toHaveBeenCalledTimes(2);
});
