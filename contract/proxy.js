// Stands between our client and the emulated GitHub, and holds both to GitHub's own description.
//
// usage: node proxy.js <base address of the emulated GitHub>
//
// Prints its own address, and then one line of JSON for everything that does not agree with the
// description: { "request", "severity", "message" }. What is wrong (severity "Error") goes no
// further: a wrong question does not reach the other side, and in place of a wrong answer, as of
// that to a wrong question, stands a 500 that says what is wrong. What the description is silent
// about, such as a status that it does not list, passes (severity "Warning").
//
// Ends when its standard input does, so that it never outlives who started it. Passes on what it
// does not understand, byte for byte; follows no redirect, unlike Prism's own proxy.

import { readFile } from "node:fs/promises";
import http from "node:http";
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

import prism from "@stoplight/prism-http";

/** What is used of GitHub; all of the description would take ten times as long to read. */
const USED =
    /^\/(orgs\/\{org\}|repos\/\{owner\}\/\{repo\})\/actions\/(runners|runs|artifacts)|^\/app\/installations\/\{installation_id\}\/access_tokens$/;
/**
 * On GitHub's pages since September 2026 (REST API, self-hosted runners), but not yet in its
 * description: below each of the two, and with this answer.
 */
const ONLY_ON_PAGES = ["/orgs/{org}", "/repos/{owner}/{repo}"].map((scope) => `${scope}/actions/runners/deprecations/{version}`);
const ONLY_ON_PAGES_ANSWER = {
    type: "object",
    required: ["runner_version"],
    properties: {
        runner_version: { type: "string" },
        runtime_deprecates_at: { type: "string", format: "date-time", nullable: true },
        registration_deprecates_at: { type: "string", format: "date-time", nullable: true },
    },
};
/** Of one connection alone (RFC 9110, section 7.6.1). */
const HOP_BY_HOP = ["connection", "keep-alive", "transfer-encoding"];
/** Longer than clients keep a connection for reuse, in milliseconds. */
const KEEP_ALIVE_TIMEOUT = 75_000;

const upstream = process.argv[2];
const agent = new http.Agent({ keepAlive: true });
const silent = Object.fromEntries(["info", "warn", "error", "debug", "success"].map((level) => [level, () => {}]));
const logger = { ...silent, child: () => logger };
const operations = await prism.getHttpOperationsFromSpec(await description());

const server = http.createServer((request, reply) => {
    // Where a connection ended without an answer, ours does too.
    handle(request, reply).catch(() => reply.destroy());
});
server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT;
server.listen(0, "127.0.0.1", () => print(`http://127.0.0.1:${server.address().port}`));
process.stdin.on("end", () => process.exit(0)).resume();

/** GitHub's description, as far as it is used. */
async function description() {
    const file = createRequire(import.meta.url).resolve("@octokit/openapi/generated/api.github.com.json");
    const { openapi, info, servers, components, paths: all } = JSON.parse(await readFile(file, "utf8"));
    const described = Object.entries(all).filter(([path]) => USED.test(path));
    const paths = Object.fromEntries([...ONLY_ON_PAGES.map((path) => [path, onlyOnPages(path)]), ...described]);
    return { openapi, info, servers, paths, components: referred(paths, components) };
}

/** The description of a path that GitHub's own does not have. */
function onlyOnPages(path) {
    const parameters = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
        name,
        in: "path",
        required: true,
        schema: { type: "string" },
    }));
    const content = { "application/json": { schema: ONLY_ON_PAGES_ANSWER } };
    return { get: { parameters, responses: { 200: { description: "until when it is supported", content } } } };
}

/** Those of `components` that `paths` refers to, and those that these refer to. */
function referred(paths, components) {
    const found = {};
    const follow = (_key, value) => {
        const [, , kind, name] = value?.$ref?.split("/") ?? [];
        if (name && !found[kind]?.[name]) {
            (found[kind] ??= {})[name] = components[kind][name];
            JSON.stringify(components[kind][name], follow);
        }
        return value;
    };
    JSON.stringify(paths, follow);
    return found;
}

async function handle(request, reply) {
    const { pathname, searchParams } = new URL(request.url, upstream);
    const body = await text(request);
    const question = {
        method: request.method.toLowerCase(),
        url: { path: pathname, query: Object.fromEntries(searchParams) },
        headers: request.headers,
        body: parsed(request.headers, body),
    };
    let answer;
    // Called once the question has been checked, with what is wrong about it.
    const forward = ({ validations }) => () => async () => {
        if (validations.length > 0) {
            return { _tag: "Left", left: { additional: { validation: validations } } };
        }
        answer = await ask(request, body);
        const { status, headers } = answer;
        return { _tag: "Right", right: { statusCode: status, headers, body: parsed(headers, answer.body) } };
    };
    const config = { isProxy: true, upstream: new URL(upstream), validateRequest: true, validateResponse: true, errors: true };
    const result = await prism.createInstance(config, { logger, forward }).request(question, operations)();

    const line = `${request.method} ${request.url}`;
    const problems = problemsOf(result, answer).map((problem) => ({ request: line, ...problem }));
    problems.forEach((problem) => print(JSON.stringify(problem)));
    const wrong = problems.filter(({ severity }) => severity === "Error");
    if (wrong.length > 0) {
        reply.writeHead(500, { "content-type": "application/json" });
        reply.end(JSON.stringify({ message: wrong.map(({ message }) => message).join("; ") }));
    } else {
        reply.writeHead(answer.status, answer.headers);
        reply.end(answer.body);
    }
}

/** What does not agree with the description. */
function problemsOf(result, answer) {
    if (result._tag === "Right") {
        return described(`answer ${answer.status}`, result.right.validations.output);
    }
    const error = result.left;
    if (error.code !== undefined) {
        // The other side is not there, or hung up.
        throw error;
    }
    const { validation } = error.additional ?? {};
    return validation ? described("question", validation) : [{ severity: "Error", message: `question: ${error.detail}` }];
}

function described(part, validations) {
    return validations.map(({ severity, path, message }) => ({
        severity: severity === 0 ? "Error" : "Warning",
        message: `${[part, ...(path ?? [])].join(".")}: ${message}`,
    }));
}

/** Puts a question to the other side, and reads its answer. */
function ask(request, body) {
    return new Promise((resolve, reject) => {
        const { method, headers } = request;
        const onward = http.request(upstream + request.url, { method, headers: passed(headers), agent });
        onward.on("error", reject).on("response", (response) => {
            const answer = (body) => ({ status: response.statusCode, headers: passed(response.headers), body });
            text(response).then(answer).then(resolve, reject);
        });
        onward.end(body);
    });
}

function passed(headers) {
    return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.includes(name)));
}

function parsed(headers, body) {
    const isJson = headers["content-type"]?.startsWith("application/json");
    return isJson && body ? JSON.parse(body) : body || undefined;
}

function print(line) {
    process.stdout.write(`${line}\n`);
}
