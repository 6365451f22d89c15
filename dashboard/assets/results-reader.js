// A worker that fetches results and keeps only what the page shows: the text of large sweeps has many megabytes.

onmessage = async ({ data: { id, path } }) => {
  try {
    const response = await fetch(path, { cache: "no-store" });
    const document = await response.json();
    if (!response.ok) {
      postMessage({ id, status: response.status, code: document.error?.code ?? "unknown", message: document.error?.message ?? response.statusText });
      return;
    }
    for (const configuration of document.configurations) {
      delete configuration.tasks;
      delete configuration.class_f1;
      delete configuration.settings;
    }
    postMessage({ id, document });
  } catch {
    postMessage({ id, status: 0, code: "unreachable", message: "The coordinator cannot be reached." });
  }
};
