// What was dropped: files, and folders with everything in them.

// As `ragkit add` leaves them out.
const HIDDEN = /^\.|^(?:__pycache__|node_modules|Thumbs\.db|desktop\.ini)$|\.egg-info$/;

/**
 * Return the files of a drop, those of dropped folders included.
 *
 * Call it while the event is handled: later the browser hides what was dropped.
 * @param {DataTransfer} transfer
 * @returns {Promise<{files: File[], unread: {name: string, reason: string}[], hidden: number}>} `unread`: folders
 *   and files that the browser could not read; `hidden`: those that are left out, as `ragkit add` does.
 */
export function droppedFiles(transfer) {
  const entries = [...transfer.items].filter(({ kind }) => kind === "file").map((item) => item.webkitGetAsEntry?.());
  const plain = [...transfer.files];
  const found = { files: [], unread: [], hidden: 0 };
  if (!entries.some((entry) => entry?.isDirectory)) return Promise.resolve({ ...found, files: plain });
  return walk(entries.filter(Boolean), found, true).then(() => found);
}

/** Leave out of a chosen folder's files what `ragkit add` leaves out. */
export function folderFiles(files) {
  const kept = files.filter(({ webkitRelativePath: path }) => !path.split("/").slice(1).some((part) => HIDDEN.test(part)));
  return { files: kept, unread: [], hidden: files.length - kept.length };
}

async function walk(entries, found, named = false) {
  for (const entry of entries) {
    // What was dropped by its name is meant, whatever it is called.
    if (!named && HIDDEN.test(entry.name)) {
      found.hidden++;
      continue;
    }
    try {
      if (entry.isDirectory) await walk(await children(entry), found);
      else found.files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    } catch (error) {
      found.unread.push({ name: entry.name, reason: `The browser could not read it: ${error.message || error.name}.` });
    }
  }
}

async function children(folder) {
  const reader = folder.createReader();
  const all = [];
  for (;;) {
    // A reader gives a hundred at a time.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return all.sort((one, other) => one.name.localeCompare(other.name));
    all.push(...some);
  }
}

/** Return why a file cannot be sent, or null: it may have been moved since it was chosen, or be a folder. */
export async function unreadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return null;
  } catch (error) {
    return `The browser could not read it: ${error.message || error.name}`;
  }
}
