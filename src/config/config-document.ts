/** Writes the document of all settings from their own facts, so that it cannot be wrong. */
import { settingFacts } from "./setting.ts";
import { settingTopics } from "./settings.ts";

const INTRODUCTION = `# Configuration

Made by \`npm run generate\` from the settings' own descriptions; not edited by hand.

Every setting is a variable of the environment; some have an option of the command line, too, which
wins. Numbers are whole; their unit is in the name. A server with a bad setting does not start and
names every bad one. \`keelson serve --print-config\` shows what would be used, without secrets.
`;

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

/** The document as markdown. */
export function configDocument(): string {
  const parts = [INTRODUCTION];
  for (const [topic, settings] of Object.entries(settingTopics)) {
    parts.push(`## ${topic}\n`);
    const rows = Object.values(settings).map((schema) => {
      const facts = settingFacts.get(schema);
      if (!facts) throw new RangeError("a setting has no facts");
      const option = facts.flag === undefined ? "" : `<br>\`${facts.flag}\``;
      const name = `\`${facts.variable}\`${option}`;
      return [name, facts.byDefault ?? "", facts.range ?? "", facts.why].map(cell).join(" | ");
    });
    const table = rows.map((row) => `| ${row} |`);
    parts.push(["| setting | default | allowed | meaning |", "|---|---|---|---|"].join("\n"));
    parts.push(`${table.join("\n")}\n`);
  }
  return parts.join("\n").replaceAll("|---|\n\n|", "|---|\n|");
}
