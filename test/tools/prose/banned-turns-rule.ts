import type { TextlintRuleModule } from '@textlint/types';
import { BANNED_TURNS } from './banned-turns.js';

/** A textlint rule that reports each banned turn with the wording to use instead. */
export const bannedTurnsRule: TextlintRuleModule = (context) => ({
  [context.Syntax.Str](node) {
    const text = context.getSource(node);
    for (const { pattern, instead } of BANNED_TURNS) {
      for (const match of text.matchAll(pattern)) {
        const message = `"${match[0].trim().slice(0, 60)}": ${instead}`;
        const padding = context.locator.at(match.index);
        context.report(node, new context.RuleError(message, { padding }));
      }
    }
  },
});
