// The node, as this page asks it. The token comes behind the # of the address, which a browser sends
// to nobody; it is kept for this tab only, and shown in a header.

const KEPT = "softadastra-token";
const FRAGMENT = "#token=";

export class Refused extends Error {
  constructor(status, reason, words) {
    super(words);
    this.status = status;
    this.reason = reason;
  }
}

let token = sessionStorage.getItem(KEPT) ?? "";

export function takeToken(given) {
  token = given.trim();
  sessionStorage.setItem(KEPT, token);
}

export function takeTokenFromAddress() {
  if (!location.hash.startsWith(FRAGMENT)) return false;
  takeToken(decodeURIComponent(location.hash.slice(FRAGMENT.length)));
  history.replaceState(null, "", location.pathname + location.search);
  return true;
}

export async function ask(path, options = {}) {
  const response = await fetch(path, {
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
    ...options,
    headers: { Authorization: `Bearer ${token}`, ...options.headers },
  });
  if (response.ok) return response;
  let refusal = {};
  try {
    refusal = (await response.json()).error ?? {};
  } catch {
    // A proxy in between answers in its own words.
  }
  throw new Refused(response.status, refusal.reason ?? "", refusal.message ?? `HTTP ${response.status}`);
}

export async function read(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== "");
  const text = new URLSearchParams(given).toString();
  return (await ask(text ? `${path}?${text}` : path)).json();
}

export async function change(path, document) {
  const headers = { "Content-Type": "application/json" };
  return (await ask(path, { method: "POST", headers, body: JSON.stringify(document) })).json();
}
