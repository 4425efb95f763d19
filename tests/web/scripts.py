"""What is asked of a page, in either browser."""

WAIT_MS = 60_000  # on a busy machine; else what never settles would hold the tests up for ever
# words and answer are JSON: only that has one meaning on both sides
CALL = (
    """async words => {
  const found = (%s);
  const given = JSON.parse(words);
  const late = new Promise((_, reject) => setTimeout(reject, LIMIT, new Error("no answer")));
  const answer = typeof found === "function" ? found(given) : found;
  return JSON.stringify(await Promise.race([answer, late]));
}"""
).replace("LIMIT", str(WAIT_MS))
