// Which words differ between two texts: the longest common run of words, in order.
"use strict";
(() => {
  const MOST = 1200; // words and gaps
  const WORD = /(\s+|[,.;:!?()]+)/;

  Mill.words = (before, after) => {
    const one = before.split(WORD).filter(Boolean), other = after.split(WORD).filter(Boolean);
    if (one.length > MOST || other.length > MOST) return [{ text: after, kind: "same" }];
    const width = other.length + 1;
    const lengths = new Uint16Array((one.length + 1) * width);
    for (let i = one.length - 1; i >= 0; i--) {
      for (let j = other.length - 1; j >= 0; j--) {
        lengths[i * width + j] = one[i] === other[j]
          ? lengths[(i + 1) * width + j + 1] + 1
          : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
      }
    }
    const pieces = [];
    const add = (text, kind) => {
      const last = pieces[pieces.length - 1];
      if (last && last.kind === kind) last.text += text;
      else pieces.push({ text, kind });
    };
    let i = 0, j = 0;
    while (i < one.length || j < other.length) {
      if (i < one.length && j < other.length && one[i] === other[j]) { add(other[j], "same"); i++; j++; }
      else if (j < other.length && (i === one.length || lengths[i * width + j + 1] > lengths[(i + 1) * width + j])) add(other[j++], "added");
      else add(one[i++], "gone");
    }
    return pieces;
  };

  Mill.changed = (before, after) =>
    Mill.words(before, after).map(({ text, kind }) => {
      if (kind === "added") return Mill.h("ins", {}, text);
      if (kind === "gone") return Mill.h("del", {}, text);
      return text;
    });
})();
