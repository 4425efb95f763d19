/** What the page and the service worker say to each other; both are ours, so the types are trusted. */

export type ToKeeper =
  /** `running` is the digest of the bundle that has just answered in this page. */
  | { readonly kind: "check"; readonly running: string }
  | { readonly kind: "adopt"; readonly digest: string }
  | { readonly kind: "reject"; readonly digest: string; readonly why: string }
  | { readonly kind: "forget" };

export interface Report {
  readonly state:
    | "current" // what is kept is what the host offers
    | "storing" // some of it is stored: ask again for more
    | "candidate" // a whole new bundle is stored, to be tried
    | "refused" // what the host offers is not taken
    | "failed"; // the host or the disk failed: the next check goes on from here
  readonly offline: boolean; // whether the next start needs no host
  readonly digest: string; // of what the host offers; empty where that is not known
  readonly share: number; // of its bytes that are stored, 0…1
  readonly message: string; // why, or what is new; may be empty
}
