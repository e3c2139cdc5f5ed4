"use strict";
// The page of a live face: asks for a microphone or camera, connects, shows picture and numbers, hangs up.

const given = JSON.parse(document.getElementById("given").textContent);
const at = (id) => document.getElementById(id);
const NAMES = { microphone: "my voice", camera: "my camera", file: "the sound file" };
const ASK_MS = 500; // from one question for the numbers to the next
const CONNECT_MS = 15000; // that a connection may take
const PICTURE = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 25, max: 30 } };
const SOUND = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };

let call = null; // {peer, own, timers}

for (const name of given.sources) at("source").add(new Option(NAMES[name], name));
for (const name of given.emotions) at("emotion").add(new Option(name, name));
at("sound").checked = given.sources[0] === "file";

function say(text) { at("status").textContent = text; }
function complain(text) { at("problem").textContent = text; at("problem").hidden = !text; }

async function send(what, message) {
  const answer = await fetch(`/call/${what}`, {
    method: "POST", headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token: given.token, ...message }),
  });
  const said = await answer.json();
  if (said.error) throw new Error(said.error);
  return said;
}

function whyNot(error, source) {
  const device = source === "camera" ? "camera" : "microphone";
  switch (error.name) {
    case "NotAllowedError": case "SecurityError":
      return `The browser was not allowed to use the ${device}: allow it beside the address, then press Start again.`;
    case "NotFoundError": case "OverconstrainedError":
      return `No ${device} was found${source === "camera" ? " (a camera needs a microphone beside it)" : ""}: connect one, then press Start again.`;
    case "NotReadableError": case "AbortError":
      return `The ${device} cannot be used; another program may have it: close that, then press Start again.`;
    default: return error.message;
  }
}

async function devices(source) {
  if (source === "file") return null;
  if (!navigator.mediaDevices)
    throw new Error("The browser gives microphones and cameras only to addresses that it trusts: open this page as http://127.0.0.1, or over https.");
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: SOUND, video: source === "camera" ? PICTURE : false });
  } catch (error) { throw new Error(whyNot(error, source)); }
}

function readPhoto() {
  const file = at("photo").files[0];
  if (!file) return Promise.resolve(undefined);
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => failed(new Error("The photo cannot be read."));
    reader.readAsDataURL(file);
  });
}

const feeling = () => (at("emotion").value === "neutral" ? "neutral" : `${at("emotion").value}:${at("strength").value}`);

function gathered(peer) {
  if (peer.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((done) => {
    peer.addEventListener("icegatheringstatechange", () => peer.iceGatheringState === "complete" && done());
  });
}

async function start() {
  complain("");
  at("start").disabled = true;
  const source = at("source").value;
  const mine = { peer: null, own: null, timer: 0, late: 0 };
  call = mine;
  at("hang-up").disabled = false;
  try {
    say(source === "file" ? "Connecting …" : `Asking for the ${source} …`);
    mine.own = await devices(source);
    if (call !== mine) { stopOwn(mine); return; }
    say("Connecting …");
    const peer = (mine.peer = new RTCPeerConnection());
    const back = new MediaStream();
    at("face").srcObject = back;
    peer.ontrack = (event) => {
      back.addTrack(event.track);
      if ("jitterBufferTarget" in event.receiver) event.receiver.jitterBufferTarget = 0; // as soon as it can be shown
    };
    peer.onconnectionstatechange = () => {
      if (call !== mine) return;
      if (peer.connectionState === "connected") { clearTimeout(mine.late); begun(mine, source); }
      if (peer.connectionState === "failed") end("The connection was lost.");
    };
    for (const kind of ["audio", "video"]) {
      const track = mine.own?.getTracks().find((one) => one.kind === kind);
      if (track) {
        track.onended = () => call === mine && end(`The ${kind === "audio" ? "microphone" : "camera"} is gone: connect it, then press Start again.`);
        peer.addTransceiver(track, { direction: "sendrecv", streams: [mine.own] });
      } else peer.addTransceiver(kind, { direction: "recvonly" });
    }
    await peer.setLocalDescription(await peer.createOffer());
    await gathered(peer);
    const photo = await readPhoto();
    const said = await send("call", {
      offer: peer.localDescription.sdp, source, photo, emotion: feeling(), gaze: at("gaze").value,
    });
    if (call !== mine) { await send("hang-up", {}); return; }
    await peer.setRemoteDescription({ type: "answer", sdp: said.answer });
    mine.late = setTimeout(() => end("No connection within 15 s: a firewall may be between the browser and this program."), CONNECT_MS);
  } catch (error) {
    if (call === mine) end(error instanceof TypeError ? "The program does not answer: is it still running?" : error.message);
  }
}

function begun(mine, source) {
  say({ microphone: "Speak: the face speaks with you.", camera: "Look straight and rest for a second, then move.", file: "The file plays." }[source]);
  at("waiting").hidden = true;
  at("recalibrate").hidden = source !== "camera";
  at("face").muted = !at("sound").checked;
  at("face").play().catch(() => {});
  mine.shown = [];
  const count = (now) => {
    if (call !== mine) return;
    mine.shown = [...mine.shown.filter((time) => now - time < 2000), now];
    at("face").requestVideoFrameCallback(count);
  };
  if ("requestVideoFrameCallback" in at("face")) at("face").requestVideoFrameCallback(count);
  mine.timer = setInterval(() => numbers(mine), ASK_MS);
}

async function waits(mine) { // ms that received pictures wait before they are shown, and the way to the server
  let way = 0, held = 0;
  for (const one of (await mine.peer.getStats()).values()) {
    if (one.type === "candidate-pair" && one.nominated && one.currentRoundTripTime) way = 1000 * one.currentRoundTripTime;
    if (one.type === "inbound-rtp" && one.kind === "video") {
      const before = mine.before ?? { delay: 0, count: 0 };
      const now = { delay: (one.jitterBufferDelay ?? 0) + (one.totalDecodeTime ?? 0), count: one.jitterBufferEmittedCount ?? 0 };
      if (now.count > before.count) mine.held = (1000 * (now.delay - before.delay)) / (now.count - before.count);
      mine.before = now;
      held = mine.held ?? 0;
    }
  }
  return way + held;
}

async function numbers(mine) {
  if (mine.asking) return;
  mine.asking = true;
  try {
    const [found, waited] = [await send("numbers", {}), await waits(mine)];
    if (call !== mine) return;
    if (found.over) { end("The call has ended."); return; }
    at("delay").textContent = found.delay_ms && at("source").value !== "file" ? `${Math.round(found.delay_ms + waited)} ms` : "–";
    const [shown, span] = [mine.shown, mine.shown.length > 1 ? mine.shown.at(-1) - mine.shown[0] : 0];
    at("fps").textContent = span ? ((1000 * (shown.length - 1)) / span).toFixed(1) : "–";
    at("dropped").textContent = `${found.dropped} of ${found.frames}`;
    if (at("source").value === "camera") say({ calibrating: "Look straight and rest for a second.", lost: "No face in your camera's picture.", driven: "Your face moves the photo." }[found.driven] ?? "Waiting for your camera …");
    mine.missed = 0;
  } catch {
    mine.missed = (mine.missed ?? 0) + 1;
    if (call === mine && mine.missed > 5) end("The program does not answer: is it still running?");
  } finally { mine.asking = false; }
}

function stopOwn(mine) { for (const track of mine.own?.getTracks() ?? []) { track.onended = null; track.stop(); } }

function end(problem) {
  const mine = call;
  call = null;
  if (mine) {
    clearInterval(mine.timer);
    clearTimeout(mine.late);
    stopOwn(mine);
    mine.peer?.close();
    send("hang-up", {}).catch(() => {});
  }
  at("face").srcObject = null;
  at("start").disabled = false;
  at("hang-up").disabled = true;
  at("waiting").hidden = false;
  at("recalibrate").hidden = true;
  for (const id of ["delay", "fps", "dropped"]) at(id).textContent = "–";
  say(problem ? "Not connected." : "Hung up.");
  complain(problem ?? "");
}

async function change(message) {
  if (!call?.peer || call.peer.connectionState !== "connected") return;
  complain("");
  try { await send("change", message); } catch (error) { complain(error.message); }
}

at("start").addEventListener("click", start);
at("hang-up").addEventListener("click", () => end());
at("photo").addEventListener("change", async () => change({ photo: await readPhoto() }));
at("emotion").addEventListener("change", () => change({ emotion: feeling() }));
at("strength").addEventListener("change", () => change({ emotion: feeling() }));
at("gaze").addEventListener("change", () => change({ gaze: at("gaze").value }));
at("recalibrate").addEventListener("click", () => change({ recalibrate: true }));
at("sound").addEventListener("change", () => { at("face").muted = !at("sound").checked; });
at("source").addEventListener("change", () => {
  if (call) end();
  at("sound").checked = at("source").value === "file"; // one's own voice coming back late disturbs
});
at("choices").addEventListener("submit", (event) => event.preventDefault());
addEventListener("pagehide", () => {
  if (call) navigator.sendBeacon("/call/hang-up", JSON.stringify({ token: given.token }));
});
