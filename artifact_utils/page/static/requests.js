// Requests to the server, and small pieces of the page. Text from files only ever becomes text, never HTML.

const BASE = new URL("../", import.meta.url); // also behind a proxy that puts something in front

export const address = (path, query = {}) => {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  return url.href;
};

export async function ask(path, { query, json, body, method, headers } = {}) {
  const sent = { method: method ?? (json || body ? "POST" : "GET"), headers: { "X-Page": "1", ...headers } };
  if (json) {
    sent.body = JSON.stringify(json);
    sent.headers["Content-Type"] = "application/json";
  } else if (body) sent.body = body;
  else if (sent.method === "POST") sent.body = "";
  let answer;
  try {
    answer = await fetch(address(path, query), sent);
  } catch {
    throw new Error("the server does not answer: is it still running in its terminal?");
  }
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const error = new Error(said.error || `the server answered ${answer.status}: load the page anew`);
    error.status = answer.status;
    throw error;
  }
  return said;
}

// make("button", {class: "act", onclick: f}, "text", child): an element
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const whole = (p) => Math.round(100 * p);
export const percent = (p) => (whole(p) === 100 && p < 1 ? ">99%" : whole(p) === 0 && p > 0 ? "<1%" : `${whole(p)}%`);
export const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
