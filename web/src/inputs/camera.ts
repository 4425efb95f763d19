/** A camera's view, in a video element of the card; the camera is let go as soon as it may be. */

import { EdgeError } from "../read";
import { deviceError } from "./dom";

export class Camera {
  #stream: MediaStream | null = null;
  #facing: "environment" | "user" = "environment";
  #devices: readonly string[] = [];
  #device = "";

  constructor(private readonly video: HTMLVideoElement) {
    video.muted = true;
    video.playsInline = true;
    addEventListener("pagehide", () => this.stop());
  }

  get running(): boolean {
    return this.#stream !== null;
  }

  /** Whether there is another one to change to. */
  get several(): boolean {
    return this.#devices.length > 1;
  }

  /** Whether the view is of who looks at it, and so is easier to aim when it is mirrored. */
  get mirrored(): boolean {
    const [track] = this.#stream?.getVideoTracks() ?? [];
    return track?.getSettings().facingMode === "user";
  }

  async start(): Promise<void> {
    this.stop();
    const wanted = this.#device
      ? { deviceId: { exact: this.#device } }
      : { facingMode: { ideal: this.#facing } };
    try {
      const size = { width: { ideal: 640 }, height: { ideal: 480 } };
      const stream = await navigator.mediaDevices.getUserMedia({ video: { ...wanted, ...size } });
      this.#stream = stream;
      this.video.srcObject = stream;
      await this.video.play();
      const [track] = stream.getVideoTracks();
      track?.addEventListener("ended", () => this.stop());
      this.#device = track?.getSettings().deviceId ?? "";
      const all = await navigator.mediaDevices.enumerateDevices();
      this.#devices = all.filter(({ kind }) => kind === "videoinput").map((one) => one.deviceId);
    } catch (error) {
      this.stop();
      throw error instanceof EdgeError ? error : deviceError("camera", error);
    }
  }

  /** The next camera, of a phone the one on its other side. */
  async change(): Promise<void> {
    const at = this.#devices.indexOf(this.#device);
    this.#device = this.#devices[(at + 1) % this.#devices.length] ?? "";
    this.#facing = this.#facing === "user" ? "environment" : "user";
    await this.start();
  }

  stop(): void {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    this.video.srcObject = null;
  }
}
