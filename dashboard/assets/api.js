// The API of the coordinator.

/** An error that the coordinator names; `status` 0: it cannot be reached. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
  get unreachable() {
    return this.status === 0 || this.code === "unavailable";
  }
}

async function call(method, path, body) {
  let response;
  try {
    response = await fetch(`/api/v1/${path}`, {
      method,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
    });
  } catch {
    throw new ApiError(0, "unreachable", "The coordinator cannot be reached.");
  }
  let document;
  try {
    document = await response.json();
  } catch {
    if (response.ok) throw new ApiError(0, "unreachable", "The answer of the coordinator was cut off.");
    throw new ApiError(response.status, "unknown", `The coordinator answers ${response.status} ${response.statusText}.`);
  }
  if (response.ok) return document;
  const { code = "unknown", message = response.statusText } = document.error ?? {};
  throw new ApiError(response.status, code, message);
}

export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, body);
export const remove = (path) => call("DELETE", path);

/** The path of something of a sweep. */
export const ofSweep = (sweep, rest = "") => `sweeps/${encodeURIComponent(sweep)}${rest}`;
export const taskPath = (configuration, seed) => `/tasks/${encodeURIComponent(configuration)}/${encodeURIComponent(seed)}`;
