/** What an AudioWorklet finds in its scope, as far as worklets.js uses it: it is no part of TypeScript's DOM. */

declare const sampleRate: number;
declare const currentTime: number;

declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}

declare function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void;
