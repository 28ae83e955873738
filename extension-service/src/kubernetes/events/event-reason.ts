/** The reasons of the Events about copies, as `kubectl get events` shows them. */
export type EventReason =
  | 'Mirrored'
  | 'MirrorFailed'
  | 'TagConflict'
  | 'MirrorRepaired'
  | 'SignaturesMissing'
  | 'MirrorHeld'
  | 'MirrorDenied'
  | 'SourceVanished';
