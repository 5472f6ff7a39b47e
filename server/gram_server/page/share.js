/** What can be sent to others: a link, a picture and a video; made here, without the server. */

import { byId, make } from "./element.js";
import { linkTo } from "./link.js";
import { paintPicture, pictureCanvas } from "./picture.js";
import { Replay } from "./replay.js";
import { connectCopy } from "./snippets.js";
import { videoKind, videoOf } from "./video.js";

/** How long a browser may take to save a file. */
const KEPT_MS = 60_000;

/**
 * @typedef {{run: import("./run.js").Run, chosen: import("./shown.js").Choice,
 *   player: import("./player.js").Player, isIdle: boolean,
 *   shownSetup: () => import("./link.js").Setup}} Moment
 */

/**
 * @param {() => Moment} now
 * @param {(words: string) => void} say
 */
export function connectShare(now, say) {
  connectCopy(byId("copy-link"), () => linkTo(now().shownSetup(), !now().isIdle), say);
  byId("save-picture").addEventListener("click", () => {
    const { run, chosen } = now();
    const element = pictureCanvas();
    paintPicture(/** @type {CanvasRenderingContext2D} */ (element.getContext("2d")), run, chosen);
    element.toBlob((blob) => {
      if (blob) save(blob, `gram-${run.family.name}.png`);
      say(blob ? "The picture is saved" : "The picture could not be made");
    });
  });
  byId("save-video").addEventListener("click", () => film(now().player.replay, say));
}

/** Offer a video where there is a run to play. @param {import("./player.js").Player} player */
export function showShare({ last }) {
  byId("save-video").hidden = last < 1 || videoKind() === null;
}

/**
 * Make a video, one at a time, and save it.
 * @param {Replay | null} replay
 * @param {(words: string) => void} say
 */
async function film(replay, say) {
  const button = byId("save-video");
  const kind = videoKind();
  if (!replay || !kind || button.getAttribute("aria-disabled") === "true") return;
  const words = button.textContent;
  button.setAttribute("aria-disabled", "true");
  say("Making the video …");
  try {
    // A replay of its own: the one on screen goes on.
    const video = await videoOf(new Replay(replay.ended, replay.events), kind, (share) => {
      button.textContent = `Making the video: ${Math.round(share * 100)} %`;
    });
    save(video, `gram-${replay.ended.family.name}.${kind.replace("video/", "")}`);
    say("The video is saved");
  } catch (error) {
    say(`No video: ${/** @type {Error} */ (error).message}`);
  }
  button.textContent = words;
  button.setAttribute("aria-disabled", "false");
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
function save(blob, name) {
  const href = URL.createObjectURL(blob);
  make("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), KEPT_MS);
}
