// Packages of another Debian release, fetched and unpacked without touching the system.
//
// The machine's own apt does the work, from the machine's own mirror, through its own proxy, and
// checks signatures against the machine's own Debian keyring. Its lists, its cache and its idea of
// what is installed are private to this one use; nothing is installed, so it needs no root.
import { execFile } from "node:child_process";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** The keys a fetched package must be signed with; part of every Debian. */
export const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

const commandTimeoutMs = 180_000;
const outputBytesMax = 4 * 1024 * 1024;

/** Which packages to fetch, and where to work. */
export interface PackageOrder {
  readonly packages: readonly string[];
  readonly release: string;
  readonly architecture: string;
  /** An empty directory for everything apt wants to write; the caller removes it. */
  readonly workshop: string;
  /** Where the packages' files are unpacked to. */
  readonly root: string;
  /** Environment of apt and dpkg: PATH, HOME and any proxy variables. */
  readonly environment: Readonly<Record<string, string>>;
}

/** Fetches the newest version of each package in the release and unpacks it below `root`. */
export async function unpackDebianPackages(order: PackageOrder): Promise<void> {
  const mirror = await findMirror(order);
  for (const deb of await download(mirror, order)) {
    await run("dpkg", ["-x", deb, order.root], runOptions(order));
  }
}

/** The mirror this machine takes its own Debian release from, as apt itself understands it. */
async function findMirror(order: PackageOrder): Promise<string> {
  const { stdout } = await run(
    "apt-get",
    ["indextargets", "--format", "$(COMPONENT) $(RELEASE) $(REPO_URI)", "Created-By: Packages"],
    runOptions(order),
  );
  const mirror = chooseMirror(stdout);
  if (mirror === undefined) {
    throw new Error("apt is not configured with a Debian mirror");
  }
  return mirror;
}

/**
 * Picks the mirror out of lines `<component> <release> <address>`: one that serves the component
 * main of a whole release (security and update suites live elsewhere), by preference one whose
 * address names Debian, because other publishers use Debian's release names too.
 */
export function chooseMirror(lines: string): string | undefined {
  const addresses: string[] = [];
  for (const line of lines.split("\n")) {
    const [component, release, address] = line.trim().split(" ");
    const isWholeRelease = /^[a-z]+$/.test(release ?? "");
    if (component === "main" && isWholeRelease && address !== undefined) {
      addresses.push(address);
    }
  }
  return addresses.find((address) => address.includes("debian")) ?? addresses[0];
}

async function download(mirror: string, order: PackageOrder): Promise<string[]> {
  const { workshop, packages } = order;
  const debsDirectory = join(workshop, "debs");
  for (const directory of ["lists/partial", "archives/partial", "debs"]) {
    await mkdir(join(workshop, directory), { recursive: true });
  }
  const configurationPath = join(workshop, "apt.conf");
  await writeFile(join(workshop, "status"), "");
  await writeFile(join(workshop, "debian.sources"), aptSources(mirror, order));
  await writeFile(configurationPath, aptConfiguration(order));
  const inDebs = { ...runOptions(order), cwd: debsDirectory };
  await run("apt-get", ["-c", configurationPath, "-q", "update"], inDebs);
  await run("apt-get", ["-c", configurationPath, "-q", "download", ...packages], inDebs);
  const names = (await readdir(debsDirectory)).filter((name) => name.endsWith(".deb"));
  if (names.length !== packages.length) {
    throw new Error(`apt-get download left ${names.length} packages: ${names.join(", ")}`);
  }
  return names.map((name) => join(debsDirectory, name));
}

function aptSources(mirror: string, order: PackageOrder): string {
  return [
    "Types: deb",
    `URIs: ${mirror}`,
    `Suites: ${order.release}`,
    "Components: main",
    `Architectures: ${order.architecture}`,
    "Languages: none",
    "Targets: Packages",
    `Signed-By: ${debianKeyring}`,
    "",
  ].join("\n");
}

/**
 * Read by apt after the machine's own configuration, whose proxy and download settings stay in
 * force. Hooks are cleared, because they act on the system; every place apt writes to is ours.
 */
function aptConfiguration(order: PackageOrder): string {
  const { workshop } = order;
  const settings: Readonly<Record<string, string>> = {
    "APT::Architecture": order.architecture,
    "APT::Default-Release": "",
    "APT::Sandbox::User": "root", // as root apt would become a user that cannot enter the cache
    "Dir::Etc::SourceList": join(workshop, "debian.sources"),
    "Dir::Etc::SourceParts": "/dev/null",
    "Dir::Etc::Preferences": "/dev/null",
    "Dir::Etc::PreferencesParts": "/dev/null",
    "Dir::State": workshop,
    "Dir::State::lists": join(workshop, "lists"),
    "Dir::State::status": join(workshop, "status"),
    "Dir::Cache": workshop,
    "Dir::Cache::archives": join(workshop, "archives"),
    "APT::Get::AllowUnauthenticated": "false",
    "APT::Update::Error-Mode": "any", // a list that cannot be fetched is a failure, not a warning
    "Acquire::AllowInsecureRepositories": "false",
    "Acquire::Retries": "2",
  };
  const cleared = [
    "APT::Architectures",
    "APT::Update::Pre-Invoke",
    "APT::Update::Post-Invoke",
    "APT::Update::Post-Invoke-Success",
    "DPkg::Pre-Invoke",
    "DPkg::Post-Invoke",
  ];
  const lines = cleared.map((name) => `#clear ${name};`);
  for (const [name, value] of Object.entries(settings)) {
    lines.push(`${name} "${value}";`);
  }
  return `${lines.join("\n")}\n`;
}

function runOptions(order: PackageOrder) {
  return {
    env: { ...order.environment, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" },
    timeout: commandTimeoutMs,
    maxBuffer: outputBytesMax,
  };
}
