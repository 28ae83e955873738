/** The reasons of the Events about copies, as `kubectl get events` shows them. */
export type EventReason =
  | 'Mirrored'
  | 'MirrorFailed'
  | 'TagConflict'
  | 'MirrorRepaired'
  | 'SignaturesMissing'
  | 'MirrorHeld'
  | 'MirrorDenied'
  | 'SourceVanished'
  /** On the Lease: the replica that holds it copies alone. */
  | 'QueueServerLost';
