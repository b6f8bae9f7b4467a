/** What can go wrong, each as one sentence with its fix. */

/** An error that can be shown to a person as it stands. */
export class Fault extends Error {
  /**
   * @param {string} code a short name: the server's own where there is one
   * @param {string} message a sentence with the fix
   * @param {{ retryAfterS?: number | null, status?: number, stage?: string }} [more] `retryAfterS`: waiting mends it
   */
  constructor(code, message, { retryAfterS = null, status = 0, stage = "" } = {}) {
    super(message);
    this.name = "Fault";
    this.code = code;
    this.retryAfterS = retryAfterS;
    this.status = status;
    this.stage = stage;
  }

  /** Whether a call without a microphone would go through. @returns {boolean} */
  get ofMicrophone() {
    return this.code.startsWith("microphone_");
  }
}

const KEY_WANTED = "This server asks for a key; enter it to go on.";

/**
 * The refusal in an HTTP answer.
 *
 * @param {Response} response @param {string} key that was sent, "": none @returns {Promise<Fault>}
 */
export async function faultOf(response, key) {
  const body = await response.json().catch(() => null);
  const error = body?.error ?? {};
  const { status } = response;
  const code = typeof error.code === "string" ? error.code : `http_${status}`;
  const retry = Number.parseFloat(response.headers.get("retry-after") ?? "");
  const waits = (status === 503 || status === 429) && code !== "server_draining";
  const retryAfterS = waits ? (Number.isFinite(retry) ? Math.min(Math.max(retry, 0.5), 60) : 2) : null;
  const message = status === 401 && key === "" ? KEY_WANTED : error.message;
  return new Fault(code, message ?? unexplained(status), { retryAfterS, status });
}

/** @param {number} status @returns {string} */
function unexplained(status) {
  return `The server answered ${status}; try again, and look at its log if it stays so.`;
}

/** Nobody answers. @returns {Fault} */
export function serverGone() {
  return new Fault("server_gone", "The server does not answer; check that it runs and that you are online.", {
    retryAfterS: 0.5,
  });
}

/** Somebody answers, but not for this page. @returns {Fault} */
export function originRefused() {
  const { origin } = globalThis.location;
  return new Fault("origin_not_allowed", `The server lets no page of ${origin} in; add that to its allowed_origins.`);
}

/** Why there is no microphone. @param {unknown} error that getUserMedia threw; null: there is none @returns {Fault} */
export function microphoneFault(error) {
  const name = error instanceof Error ? error.name : "";
  if (!globalThis.isSecureContext) {
    const message = "Browsers give the microphone to secure pages only: open this page over https, or on localhost.";
    return new Fault("microphone_insecure", message);
  }
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return new Fault(
        "microphone_denied",
        "The microphone is not allowed here: allow it in the browser's site settings, then start it again.",
      );
    case "NotFoundError":
    case "OverconstrainedError":
      return new Fault("microphone_missing", "No such microphone is there: plug one in or choose another.");
    case "NotReadableError":
    case "AbortError":
      return new Fault("microphone_in_use", "Another program holds the microphone: close it, then start it again.");
    default:
      return new Fault("microphone_missing", "This browser gives no microphone to pages: try another browser.");
  }
}

/** Anything thrown, as a Fault. @param {unknown} error @returns {Fault} */
export function asFault(error) {
  if (error instanceof Fault) {
    return error;
  }
  if (error instanceof DOMException && error.name === "AbortError") {
    return new Fault("closed", "The call was closed.");
  }
  const detail = error instanceof Error ? error.message : String(error);
  return new Fault("page_failed", `The page failed (${detail}); reload it and try again.`);
}
