// All rows of the report, column by column. Rows have numbers from 0, folder after folder.
"use strict";
(() => {
  const NONE = 255; // the code of a null
  const store = { folders: [], rows: 0, columns: new Map(), loaded: 0, tries: new Map() };
  Mill.store = store;
  const waiting = new Map(); // script name -> what to call when it is there

  class FewColumn {
    constructor(rows) {
      this.codes = new Uint8Array(rows).fill(NONE);
      this.values = [];
      this.places = new Map();
    }
    code(value) {
      if (value === null) return NONE;
      let code = this.places.get(value);
      if (code === undefined) {
        code = this.values.length;
        this.places.set(value, code);
        this.values.push(value);
      }
      return code;
    }
    set(row, value) { this.codes[row] = this.code(value); }
    get(row) { return this.codes[row] === NONE ? null : this.values[this.codes[row]]; }
  }

  class PlainColumn {
    constructor(rows) { this.all = new Array(rows).fill(null); }
    set(row, value) { this.all[row] = value; }
    get(row) { return this.all[row]; }
  }

  Mill.head = (head) => {
    store.head = head;
    const few = new Map();
    for (const folder of head.folders) {
      folder.first = store.rows;
      store.rows += folder.rows;
      for (const column of folder.columns) {
        const known = few.get(column.name);
        few.set(column.name, { ...column, few: column.few || (known && known.few), every: (known ? known.every : 0) + 1 });
      }
    }
    store.folders = head.folders;
    for (const [name, column] of few) {
      // values that are few in each of several folders may be more in all of them
      const small = column.few && head.folders.length < 4;
      store.columns.set(name, { ...column, data: small ? new FewColumn(store.rows) : new PlainColumn(store.rows) });
    }
    store.folderOf = new Uint8Array(store.rows);
    head.folders.forEach((folder, number) => store.folderOf.fill(number, folder.first, folder.first + folder.rows));
    store.thumbs = new Array(store.rows).fill(null);
    if (!head.single) {
      if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => Mill.start());
      else Mill.start();
    }
  };

  function firstRow(folder, chunk) {
    let row = folder.first;
    for (let each = 0; each < chunk; each++) row += folder.chunks[each].rows;
    return row;
  }

  Mill.rows = (number, chunk, count, columns) => {
    const folder = store.folders[number];
    const first = firstRow(folder, chunk);
    folder.columns.forEach(({ name }, place) => {
      const packed = columns[place];
      const data = store.columns.get(name).data;
      if (Array.isArray(packed)) for (let row = 0; row < count; row++) data.set(first + row, packed[row]);
      else if (packed.i) for (let row = 0; row < count; row++) data.set(first + row, packed.d[packed.i[row]]);
      else if (packed.c !== null) for (let row = 0; row < count; row++) data.set(first + row, packed.c);
    });
    store.loaded += count;
  };

  Mill.thumbs = (number, chunk, places) => {
    const first = firstRow(store.folders[number], chunk);
    places.forEach((place, row) => { store.thumbs[first + row] = place; });
  };

  Mill.tries = (number, block, rows) => {
    for (const [id, tries] of rows) store.tries.set(number + " " + id, tries);
  };

  store.get = (name, row) => {
    const column = store.columns.get(name);
    return column === undefined ? null : column.data.get(row);
  };

  store.load = (name) => new Promise((resolve) => {
    if (store.head.single) return resolve(true);
    if (waiting.has(name)) return waiting.get(name).then(resolve);
    const done = new Promise((ended) => {
      const node = Mill.h("script", { src: `${store.head.files}/${name}` });
      node.addEventListener("load", () => { node.remove(); ended(true); });
      node.addEventListener("error", () => { node.remove(); ended(false); });
      document.head.append(node);
    });
    waiting.set(name, done);
    return done.then(resolve);
  });

  // The first rows of every folder, then all others; told after each script, so that what is there can be used.
  store.loadAll = async (told) => {
    const scripts = [];
    store.folders.forEach((folder, number) => folder.chunks.forEach((chunk, place) => scripts.push([place, number, chunk.name])));
    scripts.sort((one, other) => one[0] - other[0]);
    for (const [place, number, name] of scripts) {
      const there = await Promise.all([store.load(name), store.load(`thumbs-${number}-${place}.js`)]);
      told(there.every(Boolean));
    }
  };

  store.triesOf = async (row) => {
    const number = store.folderOf[row];
    const block = store.get("tries block", row);
    if (block === null) return null;
    await store.load(`tries-${number}-${block}.js`);
    return store.tries.get(number + " " + store.get("row_id", row)) || null;
  };

  store.image = (row) => {
    const name = store.get("file_name", row);
    if (name === null) return null;
    if (store.head.single) return Array.isArray(store.thumbs[row]) ? store.thumbs[row][2] : null;
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(name)) return null; // in an object store: this page asks no network
    return store.folders[store.folderOf[row]].base + name.split("/").map(encodeURIComponent).join("/");
  };

  const ESCAPED = /[.*+?^${}()|[\]\\]/g;
  const SEARCHED = ["prompt", "row_id", "revised_prompt", "sent_prompt", "error_message"];

  // Row numbers in the order wanted. query: { text, chosen: Map(column -> Set of values), sort, down, picked }
  store.select = (query) => {
    let rows = new Uint32Array(store.rows);
    let count = 0;
    const codes = [...query.chosen].filter(([, values]) => values.size).map(([name, values]) => {
      const data = name === "folder" ? null : store.columns.get(name).data;
      return { data, name, values };
    });
    const ids = store.columns.get("row_id").data;
    for (let row = 0; row < store.rows; row++) {
      if (ids.get(row) === null) continue; // not read yet
      if (codes.every((each) => matches(each, row)) && (!query.picked || query.picked(row))) rows[count++] = row;
    }
    rows = rows.subarray(0, count);
    for (const term of query.text.split(/\s+/).filter(Boolean)) {
      const pattern = new RegExp(term.replace(ESCAPED, "\\$&"), "i");
      const searched = SEARCHED.filter((name) => store.columns.has(name)).map((name) => store.columns.get(name).data);
      rows = rows.filter((row) => searched.some((data) => { const text = data.get(row); return text !== null && pattern.test(text); }));
    }
    if (query.sort && query.sort !== "row") rows = sorted(rows, query.sort);
    if (query.down) rows.reverse();
    return rows;
  };

  function matches({ data, name, values }, row) {
    if (name === "folder") return values.has(store.folderOf[row]);
    const value = data.get(row);
    if (name !== "flags" || value === null) return values.has(value);
    return [...values].some((flag) => flag !== null && value.split(", ").includes(flag));
  }

  function sorted(rows, name) {
    const value = name === "rating" ? (row) => Mill.picks.rating(row) : (row) => store.get(name, row);
    const keys = new Map();
    for (const row of rows) keys.set(row, value(row));
    return Uint32Array.from([...rows].sort((one, other) => {
      const a = keys.get(one), b = keys.get(other);
      if (a === b) return one - other;
      if (a === null || a === undefined) return 1;
      if (b === null || b === undefined) return -1;
      return a < b ? -1 : 1;
    }));
  }
})();
