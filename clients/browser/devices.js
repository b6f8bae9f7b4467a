/** The choice of microphone and speaker. */

const CAN_CHOOSE_SPEAKER = "setSinkId" in (globalThis.AudioContext?.prototype ?? {});

/** Fills both lists, now and when devices come and go. Names are known once the microphone was allowed. */
export class Devices {
  #microphone;
  #speaker;

  /**
   * @param {HTMLSelectElement} microphone @param {HTMLSelectElement} speaker
   * @param {(kind: "microphone" | "speaker", deviceId: string) => void} onChosen
   */
  constructor(microphone, speaker, onChosen) {
    this.#microphone = microphone;
    this.#speaker = speaker;
    microphone.addEventListener("change", () => onChosen("microphone", microphone.value));
    speaker.addEventListener("change", () => onChosen("speaker", speaker.value));
    speaker.disabled = !CAN_CHOOSE_SPEAKER;
    navigator.mediaDevices?.addEventListener("devicechange", () => this.refresh());
  }

  get microphoneId() {
    return this.#microphone.value;
  }

  get speakerId() {
    return this.#speaker.value;
  }

  async refresh() {
    const found = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
    fill(this.#microphone, found, "audioinput", "Microphone");
    if (CAN_CHOOSE_SPEAKER) {
      fill(this.#speaker, found, "audiooutput", "Speaker");
    }
  }
}

/**
 * @param {HTMLSelectElement} select @param {MediaDeviceInfo[]} found @param {MediaDeviceKind} kind
 * @param {string} word
 */
function fill(select, found, kind, word) {
  const chosen = select.value;
  const usable = found.filter((device) => device.kind === kind && device.deviceId && device.deviceId !== "default");
  const options = usable.map(({ label, deviceId }, index) => new Option(label || `${word} ${index + 1}`, deviceId));
  select.replaceChildren(new Option("system’s choice", ""), ...options);
  select.value = usable.some(({ deviceId }) => deviceId === chosen) ? chosen : "";
}
