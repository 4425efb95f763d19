/**
 * Addresses that code is loaded from. Where a page demands Trusted Types, a browser takes no plain
 * text there; ours come from this policy, which lets through what the page itself made.
 */

interface Policy {
  createScriptURL(address: string): string;
}

interface Factory {
  createPolicy(name: string, rules: Policy): Policy;
}

const { trustedTypes } = globalThis as { trustedTypes?: Factory };
const ours = trustedTypes?.createPolicy("sanderling", { createScriptURL: (address) => address });

/** For `new Worker` and `serviceWorker.register`. */
export function scriptAddress(address: URL): string {
  return ours ? ours.createScriptURL(address.href) : address.href;
}

/** In a worker, for the libraries that start workers by themselves: from our folder, and no other. */
export function allowScriptsBelow(base: URL): void {
  trustedTypes?.createPolicy("default", {
    createScriptURL: (address) => {
      if (new URL(address, base).href.startsWith(base.href)) return address;
      throw new TypeError(`${address} is not in the bundle.`);
    },
  });
}
