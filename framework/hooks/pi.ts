// Mosaic Fleet: tells the sidecars whose turn it is. Written by `fleet launch`, passed with `pi -e`; it changes nothing
// of pi's own configuration, waits for nobody, and fails in silence.
import { spawn } from "node:child_process";

const COMMAND: string[] = @COMMAND@;

function tell(event: string, ctx: any) {
  try {
    const session_id = ctx?.sessionManager?.getSessionId?.() ?? "";
    const child = spawn(COMMAND[0], COMMAND.slice(1), { stdio: ["pipe", "ignore", "ignore"] });
    child.on("error", () => {});
    child.stdin.on("error", () => {});
    child.stdin.end(JSON.stringify({ hook_event_name: event, session_id }));
    child.unref();
  } catch {
    // The agent must not notice.
  }
}

export default function (pi: any) {
  pi.on("session_start", async (_: any, ctx: any) => tell("SessionStart", ctx));
  pi.on("agent_start", async (_: any, ctx: any) => tell("UserPromptSubmit", ctx));
  pi.on("tool_execution_start", async (_: any, ctx: any) => tell("PreToolUse", ctx));
  pi.on("agent_end", async (event: any, ctx: any) => {
    // A turn that will be tried again is not over; a failed one is told by the session file and the screen.
    const last = [...(event?.messages ?? [])].reverse().find((message: any) => message?.role === "assistant");
    const over = !event?.willRetry && last?.stopReason !== "error";
    if (over && !ctx?.hasPendingMessages?.()) tell("Stop", ctx);
  });
  pi.on("session_shutdown", async (_: any, ctx: any) => tell("SessionEnd", ctx));
}
