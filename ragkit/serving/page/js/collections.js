// Making a collection, from where there is none yet or from the chooser.

import { get, post } from "./api.js";
import { ask, problem } from "./dialogs.js";
import { say } from "./dom.js";
import { prefer, tell, world } from "./state.js";

/** Make a collection and choose it. */
export async function makeCollection(name) {
  try {
    const made = await post("api/collections", { name });
    world.collections = (await get("api/collections")).collections;
    prefer("collection", made.name);
    tell("world");
    say(`${made.title} created.`);
  } catch (error) {
    problem(error);
  }
}

/** Ask for a name and make a collection of it. */
export async function askForCollection() {
  const hint = "A collection is a set of documents that you search together.";
  const name = await ask("New collection", { label: "Name", yes: "Create", hint });
  if (name) await makeCollection(name);
}
