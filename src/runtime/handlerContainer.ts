/**
 * The application's container, extended per start: a child of the one handed in knows the application itself and the
 * handler classes that nobody bound, as singletons. So one container serves several starts, and handlers may ask for
 * `Foldlog`, `EventStore` and `Producer` with `@inject`.
 */
import { Container, type ServiceIdentifier } from 'inversify';
import { messageOf, OptionsError } from '../base/errors.js';
import { type HandlerClass, makeInjectable } from '../decorators/handlerMetadata.js';

export class HandlerContainer {
  readonly #container: Container;

  constructor(parent: Container | undefined) {
    this.#container = parent ? new Container({ parent }) : new Container();
  }

  bindValue<T>(token: ServiceIdentifier<T>, value: T): void {
    this.#container.bind(token).toConstantValue(value);
  }

  /** The handler object. Throws OptionsError naming the class when the container cannot make it. */
  async resolve(handlerClass: HandlerClass): Promise<object> {
    try {
      if (!this.#container.isBound(handlerClass)) {
        makeInjectable(handlerClass);
        this.#container.bind(handlerClass).toSelf().inSingletonScope();
      }
      return await this.#container.getAsync<object>(handlerClass);
    } catch (cause) {
      throw new OptionsError(
        `the container cannot make handler ${handlerClass.name}: every constructor parameter needs @inject(token), and every token a binding in \`container\` (${reasonOf(cause)})`,
        { class: handlerClass.name, cause },
      );
    }
  }

  /** Runs `@preDestroy` of what was made here. The container handed in stays as it is. */
  async close(): Promise<void> {
    await this.#container.unbindAllAsync();
  }
}

/** The first paragraph: what follows is advice that is wrong here (emitDecoratorMetadata), or names nothing. */
const reasonOf = (cause: unknown) => messageOf(cause).split('\n\n', 1)[0]?.replaceAll('\n', ' ') ?? '';
