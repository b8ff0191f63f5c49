// What is wrong with the keywords of a channel, one sentence a keyword.

import { ACTING_KEYWORDS, lacksValue, parseChannelKeywords } from '../wire/channel-keywords.ts';
import { found } from './misfit.ts';
import { suggest } from './suggest.ts';

export function keywordProblems(text: string): string[] {
  return parseChannelKeywords(text).unknown.map((word) =>
    lacksValue(word)
      ? `keyword ${found(word)} lacks its value`
      : `unknown keyword ${found(word)}${suggest(word, ACTING_KEYWORDS)}`,
  );
}
